/**
 * @file `npm run bench -- <suite> [options]`: the measurements behind the figures that the project states. A suite prints a table, and
 * writes the same with everything about the machine by `--json FILE`. Exit code 1: a result is wrong, or something could not be measured.
 */
import { Command } from "commander";
import { addGrid } from "./accuracy/grid.ts";
import { addOperators } from "./accuracy/operators.ts";
import { addAccuracy } from "./accuracy/suite.ts";
import { addAttention } from "./attention/suite.ts";
import { addBundle } from "./bundle/suite.ts";
import { addCompile } from "./compile/suite.ts";
import { addDecode } from "./decode/suite.ts";
import { addEmulators } from "./emulators/suite.ts";
import { addMemory } from "./memory/suite.ts";
import { addPiecewise } from "./piecewise/suite.ts";
import { addProducts } from "./products/suite.ts";
import { addPtx } from "./ptx/suite.ts";

const program = new Command("npm run bench --").description("measure Tilewright; each suite has its own --help");
for (const add of [
  addCompile,
  addAttention,
  addBundle,
  addAccuracy,
  addOperators,
  addGrid,
  addMemory,
  addProducts,
  addPiecewise,
  addDecode,
  addPtx,
  addEmulators,
])
  add(program);
await program.parseAsync();
