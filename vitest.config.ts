import { defineConfig } from "vitest/config";
import { oneModule } from "./test/support/one-module.ts";

const source = (path: string): string => new URL(`./src/${path}`, import.meta.url).pathname;

export default defineConfig({
  plugins: [oneModule(source("emulator"))],
  resolve: {
    alias: [
      { find: /^tilewright$/, replacement: source("index.ts") },
      { find: /^tilewright\/emulator$/, replacement: source("emulator/index.ts") },
      { find: /^tilewright\/kernels$/, replacement: source("kernels/index.ts") },
      { find: /^tilewright\/models\/aquila2$/, replacement: source("models/aquila2/index.ts") },
    ],
  },
  test: {
    include: ["test/**/*.test.ts"],
    typecheck: { enabled: false },
    // Shaders of gradients take SwiftShader half a minute to compile; other work on the machine may double that.
    testTimeout: 180_000,
    maxWorkers: 2,
  },
});
