/** @file Where the project lies: children run there, so that `tilewright` resolves to the build in `dist/`. */
import { fileURLToPath } from "node:url";

export const projectDirectory = fileURLToPath(new URL("../..", import.meta.url));
