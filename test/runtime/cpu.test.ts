import { describe, expect, it } from "vitest";
import { parseKernel } from "../../src/ir/index.ts";
