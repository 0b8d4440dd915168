/** What goes beyond single elements: exchange between threads, order in memory, control flow, atomics, big tiles; as the interpreter does it. */
import { describe, expect, test } from "vitest";
import { compileWgsl, defaultCapabilities } from "../../src/codegen/wgsl/index.ts";
import { parseKernel } from "../../src/ir/index.ts";
import { optimize } from "../../src/passes/index.ts";
import { decodeDebugOutput } from "../../src/runtime/debug-output.ts";
import { float32ToBf16, float32ToF16 } from "../../src/support/index.ts";
import { adapters, expectAgreementEverywhere, ramp, tensor } from "./agree.ts";
import { type LaunchArguments, launch, testDevice } from "./devices.ts";

const small = (length: number, seed = 1): Float32Array => ramp(length, (i) => ((i * 37 + seed * 11) % 17) - 8);
const everywhere = expectAgreementEverywhere;

describe("elements smaller than a word", () => {
  test.each([
    ["f16", float32ToF16(small(13))],
    ["bf16", float32ToBf16(small(13))],
    ["i8", Int8Array.from(small(13))],
    ["bool", Uint8Array.from(small(13), (x) => (x > 0 ? 1 : 0))],
  ] as const)("%s: neighbours in a word, written by different programs", async (dtype, data) => {
    const text = `kernel copy(%x: ptr<${dtype}>, %out: ptr<${dtype}>) {
      %i = program_id {axis = 0} : i32
      %from = add_pointer %x, %i : ptr<${dtype}>
      %to = add_pointer %out, %i : ptr<${dtype}>
      %value = load %from : ${dtype}
      store %to, %value
    }`;
    await everywhere(text, { x: tensor(data), out: tensor(data.slice().fill(0)) }, { grid: [13] });
  });

  test("words that the view ends in the middle of", async () => {
    const text = `kernel copy(%x: view<f16, 2> {alignment = 8, unitStride = true}, %out: view<f16, 2> {alignment = 8, unitStride = true}) {
      %row = program_id {axis = 0} : i32
      %zero = constant 0 : i32
      %x_tile = view_load %x, %row, %zero {inBounds = [false]} : tile<32xf16>
      %sum = add %x_tile, %x_tile : tile<32xf16>
      view_store %out, %sum, %row, %zero {inBounds = [false]}
    }`;
    const x = { data: float32ToF16(small(3 * 24)), shape: [3, 21], strides: [24, 1] };
    await everywhere(text, { x, out: { ...x, data: new Uint16Array(3 * 24).fill(7) } }, { grid: [3] });
  });
});

describe("order in memory", () => {
  test("a tensor updated in place", async () => {
    const text = `kernel increment(%x: view<f32, 2> {unitStride = true}, %y: view<f16, 2> {unitStride = true}) {
      %zero = constant 0 : i32
      %one = constant 1.0 : tile<8x16xf32>
      %old = view_load %x, %zero, %zero {inBounds = [false, false]} : tile<8x16xf32>
      %new = add %old, %one : tile<8x16xf32>
      view_store %x, %new, %zero, %zero {inBounds = [false, false]}
      %old_half = view_load %y, %zero, %zero {inBounds = [false, false]} : tile<8x16xf16>
      %new_half = neg %old_half : tile<8x16xf16>
      view_store %y, %new_half, %zero, %zero {inBounds = [false, false]}
    }`;
    await everywhere(text, { x: tensor(small(7 * 13), [7, 13]), y: tensor(float32ToF16(small(5 * 16)), [5, 16]) });
  });

  test("what was stored is loaded again by other threads, and overwritten after that", async () => {
    const text = `kernel turn(%x: ptr<f32>, %out: ptr<f32>) {
      %i = arange {start = 0, end = 256} : tile<256xi32>
      %linear = reshape %i : tile<16x16xi32>
      %turned = trans %linear {permutation = [1, 0]} : tile<16x16xi32>
      %base = splat %x : tile<16x16xptr<f32>>
      %straight = add_pointer %base, %linear : tile<16x16xptr<f32>>
      %crossed = add_pointer %base, %turned : tile<16x16xptr<f32>>
      %first = load %straight : tile<16x16xf32>
      store %crossed, %first
      %second = load %straight : tile<16x16xf32>
      %sum = add %first, %second : tile<16x16xf32>
      store %straight, %sum
      %third = load %crossed : tile<16x16xf32>
      %result = splat %out : tile<16x16xptr<f32>>
      %to = add_pointer %result, %linear : tile<16x16xptr<f32>>
      store %to, %third
    }`;
    await everywhere(text, { x: tensor(ramp(256)), out: tensor(new Float32Array(256)) });
  });

  test("a loop that reads what its last turn wrote", async () => {
    const text = `kernel shift(%x: ptr<i32>) {
      %from = constant 0 : i32
      %to = constant 5 : i32
      %step = constant 1 : i32
      %i = arange {start = 0, end = 64} : tile<64xi32>
      %one = constant 1 : tile<64xi32>
      %mask63 = constant 63 : tile<64xi32>
      %next = add %i, %one : tile<64xi32>
      %wrapped = and %next, %mask63 : tile<64xi32>
      %base = splat %x : tile<64xptr<i32>>
      %here = add_pointer %base, %i : tile<64xptr<i32>>
      %there = add_pointer %base, %wrapped : tile<64xptr<i32>>
      loop %n = %from to %to step %step {
        %value = load %there : tile<64xi32>
        %other = load %here : tile<64xi32>
        %sum = add %value, %other : tile<64xi32>
        store %here, %sum
        yield
      }
    }`;
    await everywhere(text, { x: tensor(Int32Array.from(ramp(64))) });
  });
});

describe("control flow", () => {
  test("bounds and conditions from memory that the kernel writes, around barriers", async () => {
    const text = `kernel steps(%limits: ptr<i32>, %x: ptr<f32>, %out: ptr<f32>) {
      %zero = constant 0 : i32
      %one = constant 1 : i32
      %three = constant 3 : i32
      store %limits, %three
      %limit = load %limits : i32
      %i = arange {start = 0, end = 128} : tile<128xi32>
      %base = splat %x : tile<128xptr<f32>>
      %from = add_pointer %base, %i : tile<128xptr<f32>>
      %x_tile = load %from : tile<128xf32>
      %start = constant 0.0 : f32
      %total, %turns = loop %n = %zero to %limit step %one with (%sum = %start, %count = %zero) {
        %all = reduce %x_tile {axis = 0, kind = "sum"} : f32
        %positive = compare %all, %start {predicate = "gt"} : bool
        %chosen = if %positive {
          %most = reduce %x_tile {axis = 0, kind = "max"} : f32
          yield %most
        } else {
          %least = reduce %x_tile {axis = 0, kind = "min"} : f32
          yield %least
        }
        %next = add %sum, %chosen : f32
        %more = add %count, %one : i32
        yield %next, %more
      }
      store %out, %total
      %second = add_pointer %out, %one : ptr<f32>
      %as_float = cast %turns : f32
      store %second, %as_float
    }`;
    const given = (sign: number): LaunchArguments => ({
      limits: tensor(new Int32Array(1)),
      x: tensor(ramp(128, (i) => sign * ((i % 9) - 2))),
      out: tensor(new Float32Array(2)),
    });
    await everywhere(text, given(1));
    await everywhere(text, given(-1));
  });

  test("pointers, views and tiles carried by a loop and swapped", async () => {
    const text = `kernel walk(%x: ptr<f32>, %v: view<f32, 2>, %out: ptr<f32>) {
      %zero = constant 0 : i32
      %one = constant 1 : i32
      %four = constant 4 : i32
      %eight = constant 8 : i32
      %i = arange {start = 0, end = 8} : tile<8xi32>
      %base = splat %x : tile<8xptr<f32>>
      %start = add_pointer %base, %i : tile<8xptr<f32>>
      %a = constant 1.0 : tile<8xf32>
      %b = constant 2.0 : tile<8xf32>
      %step8 = constant 8 : tile<8xi32>
      %p, %w, %first, %second = loop %n = %zero to %four step %one with (%pointer = %start, %window = %v, %left = %a, %right = %b) {
        %value = load %pointer : tile<8xf32>
        %other = view_load %window, %n, %zero {inBounds = [false]} : tile<8xf32>
        %further = add_pointer %pointer, %step8 : tile<8xptr<f32>>
        %origin = view_pointer %window : ptr<f32>
        %moved = add_pointer %origin, %one : ptr<f32>
        %rows = view_size %window {axis = 0} : i32
        %columns = view_size %window {axis = 1} : i32
        %fewer = sub %columns, %one : i32
        %row_stride = view_stride %window {axis = 0} : i64
        %column_stride = view_stride %window {axis = 1} : i64
        %narrower = make_view %moved, %rows, %fewer, %row_stride, %column_stride {rank = 2} : view<f32, 2>
        %x_sum = add %right, %value : tile<8xf32>
        %y_sum = add %left, %other : tile<8xf32>
        yield %further, %narrower, %x_sum, %y_sum
      }
      %to_base = splat %out : tile<8xptr<f32>>
      %to = add_pointer %to_base, %i : tile<8xptr<f32>>
      store %to, %first
      %past = add_pointer %to, %step8 : tile<8xptr<f32>>
      store %past, %second
    }`;
    await everywhere(text, {
      x: tensor(ramp(32)),
      v: tensor(
        ramp(4 * 7, (i) => i * 3),
        [4, 7],
      ),
      out: tensor(new Float32Array(16)),
    });
  });

  test("tiles of blocks one after the other and within each other, which may share variables", async () => {
    // Numbers are no names: variables for values that are made alike are called alike.
    const [before, once, twice, after, left, right] = [100, 200, 300, 400, 500, 600] as const;
    /** `to`: a quotient, which is kept because its row's extreme is needed first, plus that extreme. */
    const quotient = (to: number, of: string, divisor: string, kind: string) => `
      %${to + 1} = add ${of}, %start : tile<8x64xi32>
      %${to + 2} = div %${to + 1}, ${divisor} : tile<8x64xi32>
      %${to + 3} = reduce %${to + 2} {axis = 1, kind = "${kind}"} : tile<8xi32>
      %${to + 4} = expand_dims %${to + 3} {axis = 1} : tile<8x1xi32>
      %${to + 5} = broadcast %${to + 4} {shape = [8, 64]} : tile<8x64xi32>
      %${to} = add %${to + 2}, %${to + 5} : tile<8x64xi32>`;
    const text = `kernel blocks(%x: view<i32, 2>, %out: view<i32, 2>) {
      %zero = constant 0 : i32
      %one = constant 1 : i32
      %three = constant 3 : i32
      %twos = constant 2 : tile<8x64xi32>
      %threes = constant 3 : tile<8x64xi32>
      %start = view_load %x, %zero, %zero {inBounds = [true, true]} : tile<8x64xi32>
      %all = loop %n = %zero to %three step %one with (%acc = %start) {
        ${quotient(before, "%acc", "%twos", "max")}
        %inner = loop %m = %zero to %three step %one with (%sum = %${before}) {
          ${quotient(once, "%sum", "%threes", "min")}
          ${quotient(twice, `%${once}`, "%twos", "max")}
          %1 = sub %${twice}, %${before} : tile<8x64xi32>
          %2 = sub %1, %${once} : tile<8x64xi32>
          yield %2
        }
        ${quotient(after, "%inner", "%threes", "max")}
        %first = compare %n, %zero {predicate = "eq"} : bool
        %chosen = if %first {
          ${quotient(left, `%${after}`, "%twos", "min")}
          %1 = sub %${left}, %${before} : tile<8x64xi32>
          yield %1
        } else {
          ${quotient(right, `%${before}`, "%threes", "max")}
          %1 = add %${right}, %${after} : tile<8x64xi32>
          yield %1
        }
        %1 = mul %chosen, %${after} : tile<8x64xi32>
        yield %1
      }
      view_store %out, %all, %zero, %zero {inBounds = [true, true]}
    }`;
    await everywhere(text, {
      x: tensor(
        Int32Array.from({ length: 512 }, (_, i) => ((i * 7919) % 1000) - 300),
        [8, 64],
      ),
      out: tensor(new Int32Array(512), [8, 64]),
    });
  });
});

describe("across threads", () => {
  test("a transpose larger than workgroup memory", async () => {
    const text = `kernel turn(%x: view<f32, 2> {unitStride = true}, %out: view<f32, 2> {unitStride = true}) {
      %zero = constant 0 : i32
      %tile = view_load %x, %zero, %zero {inBounds = [true, true]} : tile<64x128xf32>
      %doubled = add %tile, %tile : tile<64x128xf32>
      %sums = scan %doubled {axis = 1, kind = "sum", reverse = false} : tile<64x128xf32>
      %turned = trans %sums {permutation = [1, 0]} : tile<128x64xf32>
      view_store %out, %turned, %zero, %zero {inBounds = [true, true]}
    }`;
    await everywhere(text, {
      x: tensor(small(64 * 128), [64, 128]),
      out: tensor(new Float32Array(64 * 128), [128, 64]),
    });
  });

  test("scans along both axes, both ways, and i64", async () => {
    const text = `kernel scans(%x: view<i32, 2>, %out: view<i32, 3>, %wide: view<i64, 2>) {
      %zero = constant 0 : i32
      %one = constant 1 : i32
      %two = constant 2 : i32
      %tile = view_load %x, %zero, %zero {inBounds = [true, true]} : tile<8x64xi32>
      %rows = scan %tile {axis = 1, kind = "sum", reverse = true} : tile<8x64xi32>
      view_store %out, %rows, %zero, %zero, %zero {inBounds = [true, true]}
      %columns = scan %tile {axis = 0, kind = "max", reverse = false} : tile<8x64xi32>
      view_store %out, %columns, %one, %zero, %zero {inBounds = [true, true]}
      %cast = cast %tile : tile<8x64xi64>
      %products = scan %cast {axis = 1, kind = "product", reverse = false} : tile<8x64xi64>
      view_store %wide, %products, %zero, %zero {inBounds = [true, true]}
    }`;
    await everywhere(text, {
      x: tensor(Int32Array.from(small(8 * 64)), [8, 64]),
      out: tensor(new Int32Array(2 * 8 * 64), [2, 8, 64]),
      wide: tensor(new BigInt64Array(8 * 64), [8, 64]),
    });
  });

  test("the first of equal extremes, whoever holds it; extremes past NaN", async () => {
    const text = `kernel extremes(%x: view<f32, 2>, %where: view<i32, 2>, %most: view<f32, 2>) {
      %zero = constant 0 : i32
      %one = constant 1 : i32
      %tile = view_load %x, %zero, %zero {inBounds = [true, true]} : tile<16x64xf32>
      %by_row = reduce %tile {axis = 1, kind = "argmax"} : tile<16xi32>
      view_store %where, %by_row, %zero, %zero {inBounds = [true]}
      %by_column = reduce %tile {axis = 0, kind = "argmin"} : tile<64xi32>
      view_store %where, %by_column, %one, %zero {inBounds = [true]}
      %largest = reduce %tile {axis = 1, kind = "max"} : tile<16xf32>
      view_store %most, %largest, %zero, %zero {inBounds = [true]}
      %smallest = reduce %tile {axis = 0, kind = "min"} : tile<64xf32>
      view_store %most, %smallest, %one, %zero {inBounds = [true]}
    }`;
    await everywhere(text, {
      x: tensor(
        ramp(16 * 64, (i) => (i % 101 === 5 ? Number.NaN : (i * 7) % 5)),
        [16, 64],
      ),
      where: tensor(new Int32Array(2 * 64), [2, 64]),
      most: tensor(new Float32Array(2 * 64), [2, 64]),
    });
  });

  test.each(["f32", "f16"])("a product in a loop, of %s, k in parts", async (dtype) => {
    const text = `kernel product(%a: view<${dtype}, 2> {alignment = 16, unitStride = true}, %b: view<${dtype}, 2> {alignment = 16, unitStride = true}, %out: view<f32, 2>) {
      %zero = constant 0 : i32
      %to = constant 256 : i32
      %step = constant 128 : i32
      %start = constant 1.0 : tile<32x64xf32>
      %sum = loop %k = %zero to %to step %step with (%acc = %start) {
        %left = view_load %a, %zero, %k {inBounds = [true, true]} : tile<32x128x${dtype}>
        %rows = view_load %b, %zero, %k {inBounds = [true, true]} : tile<64x128x${dtype}>
        %right = trans %rows {permutation = [1, 0]} : tile<128x64x${dtype}>
        %half = constant 0.5 : tile<32x64xf32>
        %less = mul %acc, %half : tile<32x64xf32>
        %next = dot %left, %right, %less {precision = "ieee"} : tile<32x64xf32>
        yield %next
      }
      view_store %out, %sum, %zero, %zero {inBounds = [false, false]}
    }`;
    const encode = (x: Float32Array) => (dtype === "f16" ? float32ToF16(x) : x);
    await everywhere(text, {
      a: tensor(encode(small(32 * 256)), [32, 256]),
      b: tensor(encode(small(64 * 256, 3)), [64, 256]),
      out: tensor(new Float32Array(30 * 61), [30, 61]),
    });
  });

  /** Rows of b, turned pair by pair with entries of t, times those of a: two dots of 32 channels, which share all of b and t. */
  const turnedProducts = (second: number) => `
    kernel turned(%a: view<f32, 2> {alignment = 16, unitStride = true}, %b: view<f32, 2> {alignment = 16, unitStride = true},
        %t: view<f32, 2> {alignment = 16, unitStride = true}, %out: view<f32, 2>) {
      %zero = constant 0 : i32
      %to = constant 64 : i32
      %step = constant 32 : i32
      %second = constant ${second} : i32
      %count = constant 32 : i32
      %stride = constant 1n : i64
      %rows = view_size %b {axis = 0} : i32
      %row_stride = view_stride %b {axis = 0} : i64
      %origin = view_pointer %b : ptr<f32>
      %middle = add_pointer %origin, %second : ptr<f32>
      %b0 = make_view %origin, %rows, %count, %row_stride, %stride {rank = 2} : view<f32, 2>
      %b1 = make_view %middle, %rows, %count, %row_stride, %stride {rank = 2} : view<f32, 2>
      %a0 = view_load %a, %zero, %zero {inBounds = [true, true]} : tile<32x32xf32>
      %a1 = view_load %a, %zero, %count {inBounds = [true, true]} : tile<32x32xf32>
      %start = constant 1.0 : tile<32x32xf32>
      %sum = loop %n = %zero to %to step %step with (%acc = %start) {
        %x = view_load %b0, %n, %zero {inBounds = [false, true]} : tile<32x32xf32>
        %y = view_load %b1, %n, %zero {inBounds = [false, true]} : tile<32x32xf32>
        %c = view_load %t, %n, %zero {inBounds = [true, true]} : tile<32x32xf32>
        %xc = mul %x, %c : tile<32x32xf32>
        %yc = mul %y, %c : tile<32x32xf32>
        %less = sub %xc, %yc : tile<32x32xf32>
        %more = add %xc, %yc : tile<32x32xf32>
        %less_turned = trans %less {permutation = [1, 0]} : tile<32x32xf32>
        %more_turned = trans %more {permutation = [1, 0]} : tile<32x32xf32>
        %twice = add %acc, %acc : tile<32x32xf32>
        %half = dot %a0, %less_turned, %twice {precision = "ieee"} : tile<32x32xf32>
        %next = dot %a1, %more_turned, %half {precision = "ieee"} : tile<32x32xf32>
        yield %next
      }
      view_store %out, %sum, %zero, %zero {inBounds = [false, true]}
    }`;

  test.each([
    ["halves of a row", 32],
    ["a part that begins at no multiple of four", 33],
  ])("a chain of products whose right operands share what they load: %s", async (_, second) => {
    await everywhere(turnedProducts(second), {
      a: tensor(small(32 * 64), [32, 64]),
      b: { data: small(60 * 68, 3), shape: [60, 66], strides: [68, 1] },
      t: tensor(small(64 * 32, 5), [64, 32]),
      out: tensor(new Float32Array(30 * 32), [30, 32]),
    });
  });

  test("what a chain of products shares is loaded once, four elements at a time", () => {
    const features = { shaderF16: false, subgroups: true };
    const capabilities = { ...defaultCapabilities, kind: "lavapipe", features, subgroupMinSize: 8 } as const;
    const { source } = compileWgsl(optimize(parseKernel(turnedProducts(32))), capabilities);
    const loads = (buffer: string) => source.match(new RegExp(`= ${buffer}\\[`, "g"))?.length;
    expect({ b: loads("b"), t: loads("t") }).toEqual({ b: 2, t: 1 });
  });

  test("a product whose left operand is another product's result, and one whose right is", async () => {
    const text = `kernel chain(%a: view<f32, 2>, %b: view<f32, 2>, %out: view<f32, 3>) {
      %zero = constant 0 : i32
      %one = constant 1 : i32
      %nothing = constant 0.0 : tile<16x16xf32>
      %x = view_load %a, %zero, %zero {inBounds = [true, true]} : tile<16x16xf32>
      %y = view_load %b, %zero, %zero {inBounds = [true, true]} : tile<16x16xf32>
      %xy = dot %x, %y, %nothing {precision = "ieee"} : tile<16x16xf32>
      %turned = trans %xy {permutation = [1, 0]} : tile<16x16xf32>
      %left = dot %turned, %y, %xy {precision = "ieee"} : tile<16x16xf32>
      view_store %out, %left, %zero, %zero, %zero {inBounds = [true, true]}
      %right = dot %x, %turned, %nothing {precision = "ieee"} : tile<16x16xf32>
      view_store %out, %right, %one, %zero, %zero {inBounds = [true, true]}
    }`;
    await everywhere(text, {
      a: tensor(small(256), [16, 16]),
      b: tensor(small(256, 5), [16, 16]),
      out: tensor(new Float32Array(512), [2, 16, 16]),
    });
  });
});

describe("atomics", () => {
  test("f32 sums of a tile that meets itself, from many programs", async () => {
    const text = `kernel sums(%out: ptr<f32>) {
      %i = arange {start = 0, end = 64} : tile<64xi32>
      %three = constant 3 : tile<64xi32>
      %slot = and %i, %three : tile<64xi32>
      %base = splat %out : tile<64xptr<f32>>
      %to = add_pointer %base, %slot : tile<64xptr<f32>>
      %value = cast %i : tile<64xf32>
      %inside = compare %i, %three {predicate = "ne"} : tile<64xbool>
      %old = atomic_rmw %to, %value, %inside {kind = "add"} : tile<64xf32>
    }`;
    await everywhere(text, { out: tensor(new Float32Array(4)) }, { grid: [5] });
  });

  test("one update a program, whose old value every thread gets", async () => {
    const text = `kernel ticket(%counter: ptr<i32>, %lock: ptr<u32>, %out: ptr<i32>) {
      %one = constant 1 : i32
      %ticket = atomic_rmw %counter, %one {kind = "add"} : i32
      %free = constant 0 : u32
      %held = constant 9 : u32
      %before = atomic_cas %lock, %free, %held : u32
      %again = atomic_cas %lock, %free, %held : u32
      %first = cast %before : i32
      %second = cast %again : i32
      %sum = add %first, %second : i32
      %shift = constant 100 : i32
      %ten = mul %sum, %shift : i32
      %value = add %ten, %ticket : i32
      %i = arange {start = 0, end = 32} : tile<32xi32>
      %all = splat %value : tile<32xi32>
      %base = splat %out : tile<32xptr<i32>>
      %to = add_pointer %base, %i : tile<32xptr<i32>>
      store %to, %all
    }`;
    await everywhere(text, {
      counter: tensor(Int32Array.of(41)),
      lock: tensor(new Uint32Array(1)),
      out: tensor(new Int32Array(32)),
    });
  });
});

test("scalars of every dtype", async () => {
  const dtypes = ["f32", "f16", "bf16", "i32", "u32", "i8", "i64", "bool"] as const;
  const text = `kernel scalars(${dtypes.map((dtype) => `%s_${dtype}: ${dtype}, %out_${dtype}: ptr<${dtype}>`).join(", ")}) {
    ${dtypes.map((dtype) => `store %out_${dtype}, %s_${dtype}`).join("\n")}
  }`;
  await everywhere(text, {
    s_f32: 1.5,
    s_f16: 0.333251953125,
    s_bf16: -3.140625,
    s_i32: -7,
    s_u32: 4000000000,
    s_i8: -100,
    s_i64: -(2n ** 40n) - 3n,
    s_bool: true,
    out_f32: tensor(new Float32Array(1)),
    out_f16: tensor(new Uint16Array(1)),
    out_bf16: tensor(new Uint16Array(1)),
    out_i32: tensor(new Int32Array(1)),
    out_u32: tensor(new Uint32Array(1)),
    out_i8: tensor(new Int8Array(1)),
    out_i64: tensor(new BigInt64Array(1)),
    out_bool: tensor(new Uint8Array(1)),
  });
});

test.each(adapters)("%s: print and assert leave the records that the runtime reads", async (adapter) => {
  const device = await testDevice(adapter, "all");
  const kernel = parseKernel(`kernel talk(%x: ptr<f16>) {
    %i = arange {start = 0, end = 4} : tile<4xi32>
    %base = splat %x : tile<4xptr<f16>>
    %from = add_pointer %base, %i : tile<4xptr<f16>>
    %value = load %from : tile<4xf16>
    %wide = cast %i : tile<4xi64>
    print %value, %wide {prefix = "x ="}
    %p = program_id {axis = 0} : i32
    print %p {prefix = "program"}
    %two = constant 2 : tile<4xi32>
    %small = compare %i, %two {predicate = "lt"} : tile<4xbool>
    assert %small {message = "i is small"} at "talk.ts":12:5
  }`);
  const compiled = compileWgsl(kernel, device.capabilities);
  const words = await launch(device, compiled, { x: tensor(float32ToF16(Float32Array.of(1, 2.5, -3, 4))) }, [2, 1, 1]);
  const { lines, failures } = decodeDebugOutput("talk", compiled.metadata.debug!, words!);
  expect([...lines].sort()).toEqual(
    [0, 1]
      .flatMap((p) => [
        `talk[${p},0,0] program: ${p}`,
        ...["1, 0", "2.5, 1", "-3, 2", "4, 3"].map((values, i) => `talk[${p},0,0] x = [${i}]: ${values}`),
      ])
      .sort(),
  );
  expect(failures).toHaveLength(4);
  expect(failures[0]).toContain("assert at talk.ts:12:5, element [2]: assertion failed: i is small");
});
