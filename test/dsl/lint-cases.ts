/** What lint/conditions.mjs must find, marked, and what it must leave alone. Read by lint.test.ts; never run. */
import { type Scalar, type Tile, tl } from "../../src/dsl/index.ts";

export function cases(
  a: Scalar<"i32">,
  b: Scalar<"i32">,
  x: Tile<"f32", readonly [4]>,
  CAUSAL: boolean,
  maybe?: Scalar<"i32">,
) {
  if (a.lt(b)) return 0; // finds condition
  const mask = x.gt(0);
  if (mask) return 1; // finds condition
  const y = a.eq(b) ? 2 : 3; // finds condition
  while (a.gt(b)) break; // finds condition
  if (!a.lt(b)) return 4; // finds logical
  const z = a.lt(b) && CAUSAL; // finds logical
  if (a === b) return 5; // finds equality

  if (CAUSAL && !z) return y;
  if (maybe) return 6;
  if (maybe === undefined || x.shape.length === 1) return 7;
  return tl.if(
    a.lt(b),
    () => ({ a }),
    () => ({ a: b }),
  );
}
