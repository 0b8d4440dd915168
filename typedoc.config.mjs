/** The API reference: `npm run docs` writes docs/api. */
import { OptionDefaults } from "typedoc";

export default {
  entryPoints: ["src/index.ts", "src/kernels/index.ts", "src/emulator/index.ts", "src/models/aquila2/index.ts"],
  out: "docs/api",
  readme: "README.md",
  tsconfig: "tsconfig.build.json",
  blockTags: [...OptionDefaults.blockTags, "@file"],
  excludePrivate: true,
  excludeInternal: true,
  validation: { invalidLink: true, notExported: false },
};
