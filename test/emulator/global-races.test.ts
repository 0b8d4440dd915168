/** Races in global memory, in PTX written by hand: what is reported, what is not, and where; and what fences and atomics order. */
import { describe, expect, it } from "vitest";
import { EmulatedGpu, type EmulatedGpuOptions, PtxFault } from "../../src/emulator/index.ts";

const WORDS = 1024;

/**
 * Runs a kernel on two arrays of zeros: %x and %y hold their addresses, %t the thread, %b the block, %at the address of the thread's word of x, %p the
 * predicate that a line gives. Gives x, y, or throws the fault.
 */
function run(body: string, { blocks = 2, threads = 64 } = {}, options: EmulatedGpuOptions = {}): Uint32Array[] {
  const ptx = `.version 8.0
.target sm_80
.address_size 64
.entry k(.param .u64 first, .param .u64 second)
{
.reg .b64 %x, %y, %at, %wide;
.reg .b32 %t, %b, %r<9>;
.reg .b16 %h<3>;
.reg .pred %p<9>;
.shared .align 16 .b8 staging[1024];
ld.param.u64 %x, [first];
ld.param.u64 %y, [second];
mov.u32 %t, %tid.x;
mov.u32 %b, %ctaid.x;
mul.wide.u32 %wide, %t, 4;
add.u64 %at, %x, %wide;
setp.eq.u32 %p1, %t, 0;
setp.eq.u32 %p2, %b, 0;
setp.eq.u32 %p3, %t, 32;
${body}
ret;
}`;
  const gpu = new EmulatedGpu({ maxInstructions: 100_000, ...options });
  const arrays = ["x", "y"].map((name) => gpu.allocate(4 * WORDS, name));
  const parameters = new DataView(new ArrayBuffer(16));
  arrays.forEach((address, i) => {
    parameters.setBigUint64(8 * i, address, true);
  });
  gpu.launch(gpu.loadModule(ptx), "k", {
    grid: [blocks, 1, 1],
    block: [threads, 1, 1],
    parameters: new Uint8Array(parameters.buffer),
  });
  return arrays.map((address) => new Uint32Array(gpu.read(address, 4 * WORDS).slice().buffer));
}

function raceOf(...given: Parameters<typeof run>): PtxFault {
  try {
    run(...given);
  } catch (fault) {
    if (fault instanceof PtxFault && fault.code === "PTX_GLOBAL_RACE") return fault;
    throw fault;
  }
  throw new Error("no race was found");
}

describe("between blocks", () => {
  it("two writes of different bits, with both lines, the byte, threads and blocks", () => {
    const { message, place } = raceOf("st.global.u32 [%at+8], %b;");
    expect(place).toMatchObject({
      instruction: "st.global.u32 [%at+8], %b;",
      block: [1, 0, 0],
      thread: [0, 0, 0],
      other: { instruction: "st.global.u32 [%at+8], %b;", block: [0, 0, 0], thread: [0, 0, 0], warp: 0 },
    });
    expect(message).toMatch(
      /write to global memory at 0x\w+ \(byte 8 of x\), of parameter first: thread \(0, 0, 0\) of block \(0, 0, 0\) wrote other bits to it \(PTX line \d+/,
    );
    expect(message).toContain("blocks are in no order");
    expect(place.other!.line).toBe(place.line);
  });

  it("two writes of the same bits are none", () => {
    const [x] = run("st.global.u32 [%at], %t;");
    expect(x!.slice(0, 64)).toEqual(Uint32Array.from({ length: 64 }, (_, i) => i));
  });

  it.each([
    ["a read and then a write", "ld.global.u32 %r1, [%at];\n@!%p2 st.global.u32 [%at], 5;", "read it"],
    ["a write and then a read", "@%p2 st.global.u32 [%at], 5;\n@!%p2 ld.global.u32 %r1, [%at];", "wrote it"],
    [
      "a write that changes nothing, of what another reads",
      "ld.global.u32 %r1, [%y];\n@!%p2 st.global.u32 [%y], 0;",
      "read it",
    ],
    ["an atomic and a plain read", "@%p2 red.global.add.u32 [%y], 1;\n@!%p2 ld.global.u32 %r1, [%y];", "wrote it"],
    [
      "a plain write and an atomic",
      "@%p2 st.global.u32 [%at], 0;\n@!%p2 red.global.add.u32 [%at], 1;",
      "wrote other bits",
    ],
    [
      "a volatile write and a plain read",
      "@%p2 st.volatile.global.u32 [%at], 1;\n@!%p2 ld.global.u32 %r1, [%at];",
      "wrote it",
    ],
    [
      "barriers, which order nothing between blocks",
      "@%p2 st.global.u32 [%at], 1;\nbar.sync 0;\n@!%p2 ld.global.u32 %r1, [%at];",
      "wrote it",
    ],
    [
      "vectors that overlap in one word",
      "mov.u32 %r1, 1;\n@%p1 @%p2 bra W;\n@%p1 st.global.u32 [%x+12], 2;\nret;\nW: st.global.v4.u32 [%x], {%r1, %r1, %r1, %r1};",
      "wrote other bits",
    ],
    [
      "a copy of what another writes",
      "mov.u32 %r1, staging;\n@%p2 st.global.u32 [%x+4], 1;\n@%p2 ret;\n@%p1 cp.async.cg.shared.global [%r1], [%x], 16;\ncp.async.wait_all;",
      "wrote it",
    ],
  ] as const)("%s", (_, body, did) => {
    // A guard stands before one instruction only: two of them are a branch.
    const text = body.replace("@%p1 @%p2 bra W;", "and.pred %p4, %p1, %p2;\n@%p4 bra W;");
    expect(raceOf(text).message).toContain(did);
  });

  it.each([
    ["reads", "ld.global.u32 %r1, [%y];\nld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%x];"],
    [
      "atomics",
      "red.global.add.u32 [%y], 1;\natom.global.add.u32 %r1, [%y+4], 1;\natom.global.cas.b32 %r1, [%y+8], %b, 7;",
    ],
    ["an atomic and a volatile read", "@%p2 red.global.add.u32 [%y], 1;\n@!%p2 ld.volatile.global.u32 %r1, [%y];"],
    [
      "vectors side by side",
      "mul.wide.u32 %wide, %b, 16;\nadd.u64 %wide, %x, %wide;\n@%p1 st.global.v4.u32 [%wide], {%b, %b, %b, %b};",
    ],
    [
      "halves of a word",
      "mul.wide.u32 %wide, %b, 2;\nadd.u64 %wide, %x, %wide;\ncvt.u16.u32 %h1, %b;\n@%p1 st.global.u16 [%wide], %h1;",
    ],
    ["bytes of a word", "cvt.u64.u32 %wide, %b;\nadd.u64 %wide, %x, %wide;\n@%p1 st.global.u8 [%wide], %b;"],
    [
      "a copy of 4 bytes beside what another writes",
      "mov.u32 %r1, staging;\n@%p2 st.global.u32 [%x+4], 1;\n@%p2 ret;\n@%p1 cp.async.ca.shared.global [%r1], [%x], 16, 4;\ncp.async.wait_all;",
    ],
  ] as const)("none: %s", (_, body) => {
    run(body);
  });
});

describe("in a block", () => {
  const one = { blocks: 1 };
  const exchange = (between: string) => `mov.u32 %r1, 252;
st.global.u32 [%at], %t;
${between}
sub.u64 %wide, %x, %wide;
add.u64 %wide, %wide, 252;
ld.global.u32 %r2, [%wide];`;

  it("warps need a barrier", () => {
    const { message, place } = raceOf(exchange(""), one);
    expect(message).toContain("no barrier in between");
    expect(place.other).toMatchObject({ warp: 0 });
    run(exchange("bar.sync 0;"), one);
  });

  it("a barrier of some warps orders those", () => {
    const body = `@%p3 st.global.u32 [%y], 1;
setp.ge.u32 %p4, %t, 64;
@%p4 bra REST;
bar.sync 1, 64;
ld.global.u32 %r1, [%y];
bra END;
REST:`;
    run(`${body}\nEND: bar.sync 0;`, { blocks: 1, threads: 96 });
    expect(raceOf(`${body}\nld.global.u32 %r1, [%y];\nEND: bar.sync 0;`, { blocks: 1, threads: 96 }).place.warp).toBe(
      2,
    );
  });

  it("lanes need bar.warp.sync", () => {
    const body = (between: string) => `st.global.u32 [%at], %t;\n${between}\nxor.b32 %r1, %t, 1;
mul.wide.u32 %wide, %r1, 4;\nadd.u64 %wide, %x, %wide;\nld.global.u32 %r2, [%wide];`;
    expect(raceOf(body(""), { blocks: 1, threads: 32 }).message).toContain("no bar.warp.sync");
    run(body("bar.warp.sync 0xffffffff;"), { blocks: 1, threads: 32 });
  });

  it("a read by all lanes, and then a write by one", () => {
    const body = (between: string) => `ld.global.u32 %r1, [%y];\n${between}\n@%p1 st.global.u32 [%y], 1;`;
    const { message, place } = raceOf(body(""), { blocks: 1, threads: 32 });
    expect(message).toContain("several threads of warp 0");
    expect(place.other!.thread).toBeUndefined();
    run(body("bar.warp.sync 0xffffffff;"), { blocks: 1, threads: 32 });
    // Three warps read in no order: the write must come after each.
    const some = body("setp.ge.u32 %p4, %t, 64;\n@%p4 ret;\nbar.sync 1, 64;");
    expect(raceOf(some, { blocks: 1, threads: 96 }).place).toMatchObject({ warp: 0, other: { warp: 2 } });
    run(some, one);
    run(body("bar.sync 0;"), one);
  });

  it("lanes of one instruction that write different bits to one place, but not equal ones", () => {
    expect(raceOf("st.global.u32 [%y], %t;", one).place).toMatchObject({
      thread: [1, 0, 0],
      other: { thread: [0, 0, 0] },
    });
    run("st.global.u32 [%y], 7;", one);
  });

  it("a copy reads until it is waited for", () => {
    const body = (before: string, after: string) => `mov.u32 %r1, staging;
@%p1 cp.async.cg.shared.global [%r1], [%x], 16;
${before}
bar.sync 0;
@%p3 st.global.u32 [%x+8], 1;
${after}`;
    const { message } = raceOf(body("", "bar.sync 0;\ncp.async.wait_all;"), one);
    expect(message).toContain("while the copy was under way");
    expect(
      raceOf(body("", "bar.sync 0;\n@%p1 st.global.u32 [%x+16], 1;\ncp.async.wait_all;"), one).place.other,
    ).toMatchObject({
      warp: 1,
    });
    const itself = raceOf(body("@%p1 st.global.u32 [%x], 1;\ncp.async.wait_all;", ""), one);
    expect(itself.place.other).toMatchObject({ warp: 0, thread: [0, 0, 0] });
    run(body("cp.async.wait_all;\n@%p1 st.global.u32 [%x], 1;", ""), one);
  });
});

describe("what fences and atomics order", () => {
  /** Block 0 writes data and raises a flag; block 1 waits for the flag and reads. */
  const pass = (raise: string, wait: string, before = "") =>
    `@!%p2 bra WAIT;
${before}
@%p1 st.global.u32 [%x], 42;
${raise}
ret;
WAIT:
${wait}
@!%p1 ret;
setp.ne.u32 %p5, %r1, 1;
@%p5 bra WAIT;
AFTER
ld.global.u32 %r2, [%x];
st.global.u32 [%x+4], %r2;`
      .replace("\nAFTER", wait.includes("|") ? `\n${wait.split("|")[1]}` : "")
      .replace(/\|.*/, "");

  it.each([
    ["release and acquire", "@%p1 st.release.gpu.global.u32 [%y], 1;", "ld.acquire.gpu.global.u32 %r1, [%y];"],
    [
      "red.release and ld.acquire",
      "@%p1 red.release.gpu.global.add.u32 [%y], 1;",
      "ld.acquire.gpu.global.u32 %r1, [%y];",
    ],
    [
      "atom.acq_rel on both sides",
      "@%p1 atom.acq_rel.gpu.global.add.u32 %r3, [%y], 1;",
      "atom.acq_rel.gpu.global.or.b32 %r1, [%y], 0;",
    ],
    [
      "fences and relaxed accesses",
      "fence.acq_rel.gpu;\n@%p1 st.relaxed.gpu.global.u32 [%y], 1;",
      "ld.relaxed.gpu.global.u32 %r1, [%y];|fence.acq_rel.gpu;",
    ],
    [
      "__threadfence and volatile",
      "membar.gl;\n@%p1 st.volatile.global.u32 [%y], 1;",
      "ld.volatile.global.u32 %r1, [%y];|membar.gl;",
    ],
    [
      "a fence, a barrier and then the flag, by another thread",
      "membar.gl;\nbar.sync 0;\n@%p3 red.global.add.u32 [%y], 1;",
      "ld.volatile.global.u32 %r1, [%y];|membar.gl;",
    ],
  ])("%s", (_, raise, wait) => {
    expect(run(pass(raise, wait))[0]![1]).toBe(42);
  });

  it.each([
    ["a relaxed write", "@%p1 st.relaxed.gpu.global.u32 [%y], 1;", "ld.acquire.gpu.global.u32 %r1, [%y];", ""],
    ["a relaxed read", "@%p1 st.release.gpu.global.u32 [%y], 1;", "ld.relaxed.gpu.global.u32 %r1, [%y];", ""],
    [
      "a fence before the data",
      "@%p1 st.relaxed.gpu.global.u32 [%y], 1;",
      "ld.acquire.gpu.global.u32 %r1, [%y];",
      "membar.gl;",
    ],
    [
      "a fence of the block",
      "membar.cta;\n@%p1 st.volatile.global.u32 [%y], 1;",
      "ld.volatile.global.u32 %r1, [%y];|membar.gl;",
      "",
    ],
    ["a release to the block", "@%p1 st.release.cta.global.u32 [%y], 1;", "ld.acquire.gpu.global.u32 %r1, [%y];", ""],
    [
      "a release before the data, of another thread",
      "@%p3 st.release.gpu.global.u32 [%y], 1;",
      "ld.acquire.gpu.global.u32 %r1, [%y];",
      "",
    ],
  ])("not enough: %s", (_, raise, wait, before) => {
    expect(raceOf(pass(raise, wait, before)).place.other!.instruction).toBe("@%p1 st.global.u32 [%x], 42;");
  });

  it("from block to block to block, and no further back than each had acquired", () => {
    const body = (first: string) => `setp.eq.u32 %p4, %b, 1;
@!%p1 ret;
@%p4 bra SECOND;
@!%p2 bra THIRD;
${first}
st.global.u32 [%x], 42;
st.release.gpu.global.u32 [%y], 1;
ret;
SECOND:
ld.acquire.gpu.global.u32 %r1, [%y];
st.global.u32 [%x+4], 43;
st.release.gpu.global.u32 [%y+64], 1;
ret;
THIRD:
ld.acquire.gpu.global.u32 %r1, [%y+64];
ld.global.u32 %r2, [%x];
ld.global.u32 %r3, [%x+4];
add.u32 %r2, %r2, %r3;
st.global.u32 [%x+8], %r2;`;
    expect(run(body(""), { blocks: 3 })[0]![2]).toBe(85);
    const without = body("").replace("ld.acquire.gpu.global.u32 %r1, [%y];", "");
    expect(raceOf(without, { blocks: 3 }).place).toMatchObject({ block: [2, 0, 0], other: { block: [0, 0, 0] } });
  });

  it("the last block adds up what all have written, and sets the counter back", () => {
    const body = (fence: string) => `mul.wide.u32 %wide, %b, 256;
add.u64 %wide, %at, %wide;
st.global.u32 [%wide], %t;
${fence}
bar.sync 0;
mov.u32 %r5, 0;
@%p1 atom.global.add.u32 %r1, [%y], 1;
setp.eq.u32 %p4, %r1, 3;
selp.u32 %r2, 1, 0, %p4;
@%p1 st.shared.u32 [staging], %r2;
bar.sync 0;
ld.shared.u32 %r2, [staging];
setp.eq.u32 %p4, %r2, 0;
@%p4 ret;
${fence}
@!%p1 ret;
mov.u32 %r3, 0;
NEXT:
mul.wide.u32 %wide, %r3, 4;
add.u64 %wide, %x, %wide;
ld.global.u32 %r4, [%wide];
add.u32 %r5, %r5, %r4;
add.u32 %r3, %r3, 1;
setp.lt.u32 %p4, %r3, 256;
@%p4 bra NEXT;
st.global.u32 [%y+4], %r5;
st.global.u32 [%y], 0;`;
    const [, y] = run(body("membar.gl;"), { blocks: 4 });
    expect([...y!.slice(0, 2)]).toEqual([0, 4 * ((63 * 64) / 2)]);
    expect(raceOf(body(""), { blocks: 4 }).message).toContain("by fences and atomics");
  });

  it("in a block, through a flag in shared memory: what lies there and in global memory", () => {
    const body = (raise: string, fence: string) => `setp.lt.u32 %p4, %t, 32;
@%p1 st.volatile.shared.u32 [staging], 0;
bar.sync 0;
@!%p4 bra WAIT;
@%p1 st.global.u32 [%x], 42;
@%p1 st.shared.u32 [staging+64], 1;
@%p1 ${raise}
ret;
WAIT:
@!%p3 ret;
AGAIN:
ld.volatile.shared.u32 %r1, [staging];
setp.ne.u32 %p5, %r1, 1;
@%p5 bra AGAIN;
${fence}
ld.global.u32 %r2, [%x];
ld.shared.u32 %r3, [staging+64];
add.u32 %r2, %r2, %r3;
st.global.u32 [%x+4], %r2;`;
    const release = "st.release.cta.shared.u32 [staging], 1;";
    expect(run(body(release, "membar.cta;"), { blocks: 1 })[0]![1]).toBe(43);
    expect(raceOf(body("st.volatile.shared.u32 [staging], 1;", "membar.cta;"), { blocks: 1 }).message).toContain(
      "no barrier",
    );
    expect(raceOf(body(release, ""), { blocks: 1 }).message).toContain("no barrier");
  });
});

it("launches are in order, and the check can be left out", () => {
  const race = "st.global.u32 [%at], %b;";
  expect(run(race, {}, { checkGlobalRaces: false })[0]![0]).toBe(1);
  expect(run(race, {}, { check: false })[0]![0]).toBe(1);
});
