/**
 * @file The arithmetic of strided views: a view is a shape, a stride for each axis and an offset, all in elements. Every function here
 * is pure; `Tensor` puts them on memory. Strides are never negative, so a view covers `[offset, offset + extent)`.
 */
import { ArgumentError } from "../support/errors.ts";

/** A strided window on a row of elements. */
export interface View {
  readonly shape: readonly number[];
  /** In elements, one for each axis. */
  readonly strides: readonly number[];
  /** Index of the first element. */
  readonly offset: number;
}

const show = (values: readonly number[]): string => `[${values.join(", ")}]`;

function fail(what: string): never {
  throw new ArgumentError("VIEW", what);
}

/** Number of elements of a shape (1 for rank 0). */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);

/** Refuses a shape that is not a list of non-negative integers. */
export function checkShape(shape: readonly number[]): void {
  if (!Array.isArray(shape) || !shape.every((extent) => Number.isSafeInteger(extent) && extent >= 0)) {
    throw new ArgumentError("SHAPE", `a shape is a list of non-negative integers, got ${JSON.stringify(shape)}`);
  }
}

/** The strides of a dense row-major tensor. */
export function rowMajorStrides(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= Math.max(shape[axis]!, 1);
  }
  return strides;
}

/** Whether the elements lie dense in row-major order. Strides of axes of extent 1 do not matter. */
export function isRowMajor({ shape, strides }: View): boolean {
  const dense = rowMajorStrides(shape);
  return sizeOf(shape) === 0 || shape.every((extent, axis) => extent === 1 || strides[axis] === dense[axis]);
}

/** From the first element to one past the last that the view can reach, counted from `offset`; 0 for an empty view. */
export function extentOf({ shape, strides }: View): number {
  if (sizeOf(shape) === 0) return 0;
  return shape.reduce((last, extent, axis) => last + (extent - 1) * strides[axis]!, 1);
}

/** Steps after which `haveCommonElement` gives up; views as `Tensor` makes them take a few. */
const largestSearch = 10_000;

/**
 * Whether two views of one memory have an element in common, so that interleaved views (q, k and v in one projection) are told from views that
 * overlap. Searches the solutions of sum x[i] · weight[i] = distance, largest weight first, as numpy.shares_memory does. False if that takes too long.
 */
export function haveCommonElement(a: View, b: View): boolean {
  if (sizeOf(a.shape) === 0 || sizeOf(b.shape) === 0) return false;
  // An index of b counted from its last element makes all weights positive; indices of one weight are one index.
  const reach = new Map<number, number>();
  for (const { shape, strides } of [a, b])
    for (const [axis, extent] of shape.entries())
      if (strides[axis]! > 0) reach.set(strides[axis]!, (reach.get(strides[axis]!) ?? 0) + extent - 1);
  const weights = [...reach].filter(([, most]) => most > 0).sort(([left], [right]) => right - left);
  const below = weights.map((_, index) =>
    weights.slice(index + 1).reduce((sum, [weight, most]) => sum + weight * most, 0),
  );
  let steps = 0;
  const solve = (index: number, rest: number): boolean => {
    if (index === weights.length) return rest === 0;
    const [weight, most] = weights[index]!;
    const last = Math.min(most, Math.floor(rest / weight));
    for (let x = Math.max(0, Math.ceil((rest - below[index]!) / weight)); x <= last; x++) {
      if (++steps > largestSearch) return false;
      if (solve(index + 1, rest - x * weight)) return true;
    }
    return false;
  };
  return solve(0, b.offset + extentOf(b) - 1 - a.offset);
}

/** Axis `i` of the result is axis `order[i]`. */
export function permuteView(view: View, order: readonly number[]): View {
  const sorted = [...order].sort((a, b) => a - b);
  if (sorted.length !== view.shape.length || sorted.some((axis, index) => axis !== index)) {
    fail(`permute: ${show(order)} is not a permutation of the ${view.shape.length} axes of ${show(view.shape)}`);
  }
  return {
    shape: order.map((axis) => view.shape[axis]!),
    strides: order.map((axis) => view.strides[axis]!),
    offset: view.offset,
  };
}

/** Elements `from`, `from + step`, ... below `to` along `axis`. Negative `axis`, `from` and `to` count from the end. */
export function sliceView(view: View, axis: number, from: number, to: number, step: number): View {
  const at = axis < 0 ? axis + view.shape.length : axis;
  const extent = view.shape[at] ?? fail(`slice: axis ${axis} is out of range for shape ${show(view.shape)}`);
  const start = from < 0 ? from + extent : from;
  const end = to < 0 ? to + extent : to;
  if (![start, end, step].every(Number.isInteger) || start < 0 || end > extent || start > end || step < 1) {
    fail(`slice: ${from} to ${to} by ${step} is not inside axis ${axis} of shape ${show(view.shape)}`);
  }
  return {
    shape: view.shape.with(at, Math.ceil((end - start) / step)),
    strides: view.strides.with(at, view.strides[at]! * step),
    offset: view.offset + start * view.strides[at]!,
  };
}

/** Repeats axes of extent 1, and adds leading axes, to reach `shape`: repeated axes have stride 0. */
export function expandView(view: View, shape: readonly number[]): View {
  checkShape(shape);
  const added = shape.length - view.shape.length;
  const fits = added >= 0 && view.shape.every((extent, axis) => extent === shape[axis + added] || extent === 1);
  if (!fits) fail(`expand: ${show(view.shape)} does not broadcast to ${show(shape)}`);
  const strides = shape.map((extent, axis) => {
    const own = axis - added;
    return own < 0 || view.shape[own] !== extent ? 0 : view.strides[own]!;
  });
  return { shape, strides, offset: view.offset };
}

/**
 * The same elements in row-major order under another shape, without a copy. One extent may be -1: it is computed. Groups of axes that
 * lie dense in memory may be joined and split; anything else needs a copy and is refused.
 */
export function reshapeView(view: View, wanted: readonly number[]): View {
  const shape = resolveShape(view.shape, wanted);
  if (sizeOf(shape) === 0) return { shape, strides: rowMajorStrides(shape), offset: view.offset };
  // Axes of extent 1 carry no order; the others are matched group by group, each of equal size on both sides.
  const axes = view.shape.flatMap((extent, axis) => (extent === 1 ? [] : [{ extent, stride: view.strides[axis]! }]));
  const strides = new Array<number>(shape.length).fill(0);
  let next = 0;
  for (let first = 0; first < shape.length; ) {
    if (shape[first] === 1) {
      first++;
      continue;
    }
    let last = first;
    let target = shape[first]!;
    let source = axes[next]!.extent;
    let end = next;
    while (source !== target) {
      if (source < target) source *= axes[++end]!.extent;
      else target *= shape[++last]!;
    }
    for (let axis = next; axis < end; axis++) {
      if (axes[axis]!.stride !== axes[axis + 1]!.stride * axes[axis + 1]!.extent) {
        fail(
          `reshape: ${show(view.shape)} with strides ${show(view.strides)} has no view of shape ${show(shape)}: it needs a copy`,
        );
      }
    }
    let stride = axes[end]!.stride;
    for (let axis = last; axis >= first; axis--) {
      strides[axis] = stride;
      stride *= shape[axis]!;
    }
    next = end + 1;
    first = last + 1;
  }
  return { shape, strides, offset: view.offset };
}

function resolveShape(from: readonly number[], wanted: readonly number[]): readonly number[] {
  const open = wanted.indexOf(-1);
  if (open < 0) {
    checkShape(wanted);
    if (sizeOf(wanted) !== sizeOf(from))
      fail(`reshape: ${show(from)} has ${sizeOf(from)} elements, ${show(wanted)} has ${sizeOf(wanted)}`);
    return wanted;
  }
  const known = sizeOf(wanted.with(open, 1));
  const missing = sizeOf(from) / known;
  if (!Number.isInteger(missing) || known <= 0)
    fail(`reshape: the -1 in ${show(wanted)} fits no extent for ${show(from)}`);
  return wanted.with(open, missing);
}

/** Calls `visit` with the position of each element of the view, in row-major order. */
export function forEachElement({ shape, strides, offset }: View, visit: (position: number) => void): void {
  const walk = (axis: number, position: number): void => {
    if (axis === shape.length) {
      visit(position);
      return;
    }
    const stride = strides[axis]!;
    for (let index = 0; index < shape[axis]!; index++) walk(axis + 1, position + index * stride);
  };
  walk(0, offset);
}
