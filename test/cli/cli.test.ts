/** The command, as a user runs it: the built `dist/cli/main.js` (`npm test` builds first). */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";

const root = new URL("../..", import.meta.url).pathname;
const scratch = mkdtempSync(join(root, "test", ".cli-"));
afterAll(() => rmSync(scratch, { recursive: true }));

function tilewright(...words: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, "dist/cli/main.js"), ...words], {
    encoding: "utf8",
    cwd: root,
  });
  return { status, stdout, stderr };
}

describe("tilewright", () => {
  it("lists every kernel with its constants", () => {
    const kernels = JSON.parse(tilewright("list", "--json").stdout);
    const forward = kernels.find(({ name }: { name: string }) => name === "attention_forward");
    expect(forward.constants.BLOCK_M).toBe(64);
  });

  it("compiles a library kernel to text and metadata", () => {
    const { status, stdout } = tilewright(
      "compile",
      "softmax",
      "--target",
      "sm_80",
      "--set",
      "T=bf16",
      "COLUMNS=256",
      "--out",
      scratch,
    );
    expect([status, stdout.trim().split("\n")]).toEqual([
      0,
      [join(scratch, "softmax.ptx"), join(scratch, "softmax.json")],
    ]);
    expect(readFileSync(join(scratch, "softmax.ptx"), "utf8")).toContain(".visible .entry softmax(");
    const metadata = JSON.parse(readFileSync(join(scratch, "softmax.json"), "utf8"));
    expect(metadata).toMatchObject({
      name: "softmax",
      target: "sm_80",
      entry: "softmax",
      grid: ["x.shape.0", "1", "1"],
    });
    expect(metadata.constants.COLUMNS).toBe(256);
    expect(metadata.params.slice(0, 4).map(({ name }: { name: string }) => name)).toEqual([
      "x",
      "x.shape.0",
      "x.shape.1",
      "x.stride.0",
    ]);
  });

  it("compiles the user's own file", () => {
    const { status, stdout } = tilewright(
      "compile",
      "examples/sliding-window.ts",
      "--target",
      "wgsl",
      "--set",
      "T=f32",
      "WINDOW=64",
    );
    expect(status).toBe(0);
    expect(stdout).toContain("@compute @workgroup_size(");
  });

  it("shows a kernel author's mistake with file and line, and exits with 1", () => {
    const file = join(scratch, "wrong.ts");
    writeFileSync(
      file,
      `import { kernel, tl } from "tilewright";
export default kernel({
  name: "wrong",
  params: { x: tl.tensor("f32", 1) },
  body(p) {
    const a = tl.zeros([4, 8], "f32");
    tl.dot(a, a);
  },
});
`,
    );
    const { status, stderr } = tilewright("compile", file, "--target", "wgsl");
    expect(status).toBe(1);
    expect(stderr).toMatch(/wrong\.ts:7:\d+/);
  });

  it.each([
    [["compile", "nothing", "--target", "wgsl"], 1, /KERNEL_UNKNOWN.*attention_forward/],
    [["compile", "./nothing.ts", "--target", "wgsl"], 1, /KERNEL_FILE/],
    [["compile", "softmax", "--target", "sm_1"], 1, /TARGET.*sm_80, wgsl/],
    [["compile", "softmax", "--target", "wgsl", "--set", "COLUMN=1"], 1, /SETTING.*COLUMNS/],
    [["compile", "softmax"], 2, /--target/],
    [["compile", "softmax", "--target", "wgsl", "--out", "README.md/x"], 1, /OUT.*README\.md\/x/],
    [["inspect", "constructor", "--target", "sm_80"], 1, /KERNEL_UNKNOWN/],
    [["inspect", "softmax", "--target", "sm_80", "--set", "toString=1"], 1, /SETTING.*COLUMNS/],
    [["inspect", "softmax", "--target", "sm_99"], 1, /TARGET.*sm_80, wgsl/],
    [["inspect", "softmax", "--target", "sm_80", "--gpu", "sm_70"], 1, /ARCHITECTURE.*sm_70.*sm_86/],
    [["inspect", "softmax", "--target", "sm_80", "--no-ptxas", "--out", "README.md/x"], 1, /OUT.*README\.md\/x/],
    [["inspect", "attention_forward", "--target", "sm_80", "--set", "BLOCK_M=48"], 1, /48/],
    [["inspect", "attention_forward", "--target", "sm_80", "--set", "HEAD_DIM=256", "BLOCK_M=512"], 1, /SHARED_MEMORY/],
    [["generate", "x", "--model", "/nowhere", "--backend", "cpu"], 1, /\/nowhere/],
    [["generate", "x", "--model", "test/fixtures/aquila2-tiny", "--backend", "cuda"], 1, /NO_DRIVER/],
  ] as const)("%j exits with %i and says why", (words, code, message) => {
    const { status, stderr } = tilewright(...words);
    expect(stderr).toMatch(message);
    expect(status).toBe(code);
  });

  it("inspects a library kernel, and draws its layouts", () => {
    const out = join(scratch, "inspected");
    const { status, stdout } = tilewright("inspect", "matmul", "--target", "sm_80", "--no-ptxas", "--out", out);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^matmul for sm_80\n/);
    expect(stdout).toMatch(/registers +unknown.*need ptxas/);
    expect(stdout).toContain("accumulator of mma m16n8");
    expect(stdout.trim().split("\n").at(-1)).toBe(`pictures: ${join(out, "index.html")}`);
    const page = readFileSync(join(out, "index.html"), "utf8");
    const pictures = [...page.matchAll(/<img [^>]*src="([^"]+)"/g)].map(([, file]) => file!);
    expect(pictures).toContain("layout-1.svg");
    for (const file of pictures) expect(readFileSync(join(out, file), "utf8")).toMatch(/^<svg .*<\/svg>\n$/s);
  });

  it.each(["examples/row-softmax.ts", "examples/sliding-window.ts"])("inspects %s, as JSON", (file) => {
    for (const target of ["sm_80", "wgsl"]) {
      const words = ["--target", target, "--set", "T=f16", "--no-ptxas", "--json"];
      const { status, stdout } = tilewright("inspect", file, ...words);
      expect(status).toBe(0);
      const inspection = JSON.parse(stdout);
      expect(inspection).toMatchObject({ target, source: { language: target === "wgsl" ? "WGSL" : "PTX 7.0" } });
      expect(inspection.tiles.length).toBeGreaterThan(5);
      expect(inspection.layouts[0].bases.register).toBeInstanceOf(Array);
    }
  });

  it("prints the IR after each pass", () => {
    const { stdout } = tilewright("ir", "softmax", "--set", "COLUMNS=64");
    expect(stdout).toMatch(/^\/\/ as traced\nkernel softmax\(/);
    expect(stdout).toContain("// after cse");
  });

  it("generates on cpu", () => {
    const { status, stdout } = tilewright(
      "generate",
      "And God said unto Moses, ",
      "--model",
      "test/fixtures/aquila2-tiny",
      "--backend",
      "cpu",
      "--max-new-tokens",
      "8",
    );
    expect([status, stdout]).toEqual([0, "And God said unto Moses, Ye shall not go up to the tabernacle\n"]);
  });
});
