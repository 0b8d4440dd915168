/**
 * @file Special registers: what they hold in each lane of a warp.
 */
export interface SpecialContext {
  readonly grid: readonly [number, number, number];
  readonly block: readonly [number, number, number];
  readonly blockIndex: readonly [number, number, number];
  readonly warp: number;
  readonly warps: number;
  readonly dynamicSharedBytes: number;
  readonly sharedBytes: number;
}

type Special = (context: SpecialContext, lane: number) => number;

const axes = ["x", "y", "z"] as const;
const threadIndex = ({ block, warp }: SpecialContext, lane: number, axis: number): number => {
  const linear = warp * 32 + lane;
  const [x, y] = block;
  return axis === 0 ? linear % x : axis === 1 ? Math.floor(linear / x) % y : Math.floor(linear / (x * y));
};

/** Those that do not change while a block runs. */
export const staticSpecials: ReadonlyMap<string, Special> = new Map<string, Special>([
  ...axes.flatMap((axis, i): [string, Special][] => [
    [`%tid.${axis}`, (context, lane) => threadIndex(context, lane, i)],
    [`%ntid.${axis}`, ({ block }) => block[i]!],
    [`%ctaid.${axis}`, ({ blockIndex }) => blockIndex[i]!],
    [`%nctaid.${axis}`, ({ grid }) => grid[i]!],
  ]),
  ["%laneid", (_, lane) => lane],
  ["%warpid", ({ warp }) => warp],
  ["%nwarpid", ({ warps }) => warps],
  ["%smid", () => 0],
  ["%nsmid", () => 1],
  ["%gridid", () => 0],
  ["%lanemask_eq", (_, lane) => 1 << lane],
  ["%lanemask_lt", (_, lane) => (1 << lane) - 1],
  ["%lanemask_le", (_, lane) => (lane === 31 ? -1 : (2 << lane) - 1)],
  ["%lanemask_gt", (_, lane) => (lane === 31 ? 0 : -1 << (lane + 1))],
  ["%lanemask_ge", (_, lane) => -1 << lane],
  ["%dynamic_smem_size", ({ dynamicSharedBytes }) => dynamicSharedBytes],
  ["%total_smem_size", ({ sharedBytes }) => sharedBytes],
]);

/** Those that count time: here, warp instructions. */
export const clockBits: ReadonlyMap<string, number> = new Map([
  ["%clock", 32],
  ["%clock_hi", 32],
  ["%clock64", 64],
  ["%globaltimer", 64],
]);
