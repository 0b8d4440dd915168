import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openPage, whyNoPage } from "./page.ts";
import type { run } from "./page-module.ts";

describe("in a page", () => {
  const reason = whyNoPage();
  let opened: Awaited<ReturnType<typeof openPage>>;
  beforeAll(async () => {
    if (reason === undefined) opened = await openPage(new URL("./page-module.ts", import.meta.url).pathname);
  }, 120_000);
  afterAll(() => opened?.close());

  it("opens a device, runs a kernel and reads it back", async ({ skip }) => {
    if (reason !== undefined) skip(reason);
    // As text: inside a function the test runner would rewrite the import.
    const result = await opened.page.evaluate<Awaited<ReturnType<typeof run>>>(
      `import("/module.js").then((module) => module.run())`,
    );
    expect(result.backend).toBe("webgpu");
    expect(result.kind).toBe("swiftshader");
    expect(result.values).toEqual([-0, -2, -4, -6, -8, -10, -12, -14, -16, -18, -20]);
    expect(result.error).toContain('kernel "scale_rows": the argument "factor" (a scalar of f32) is missing');
    expect(result.doctor).toContain('backend "auto" takes webgpu');
  });
});
