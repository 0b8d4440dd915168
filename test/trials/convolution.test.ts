/** A convolution of images as a product (im2col without the copy): which pixel a row of the left operand is depends on the tap, through pointers. */
import { expect, it } from "vitest";
import { kernel, tl } from "../../src/dsl/index.ts";
import { expectClose } from "../kernels/judge.ts";
import { numbers, onEveryTarget, ptxOf, Terms } from "./trial.ts";

const convolution = kernel({
  name: "convolution",
  constants: { PIXELS: 64, N: 64, K: 32, TAPS: 3 },
  // x [batch, height, width, channels], weight [TAPS, TAPS, channels, features]; out as large as x, which counts as 0 outside.
  params: { x: tl.tensor("T", 4), weight: tl.tensor("T", 4), out: tl.tensor("T", 2) },
  grid: (p, { PIXELS, N }) => [tl.cdiv(p.out.shape(0), PIXELS), tl.cdiv(p.out.shape(1), N)],
  body(p, { PIXELS, N, K, TAPS }) {
    const [height, width, channels] = [p.x.shape(1), p.x.shape(2), p.x.shape(3)];
    const first = tl.programId(0).mul(PIXELS);
    const pixel = tl.arange(0, PIXELS).add(first);
    const [image, y, x] = [pixel.div(height.mul(width)), pixel.div(width).rem(height), pixel.rem(width)];
    const column = tl.programId(1).mul(N);
    const along = (index: typeof y, axis: number) => index.to("i64").mul(p.x.stride(axis));
    const start = { sums: tl.zeros([PIXELS, N], "f32") };
    const { sums } = tl.loop({ to: TAPS * TAPS }, start, (tap, taps) => {
      const [row, place] = [y.add(tap.div(TAPS)).sub((TAPS - 1) / 2), x.add(tap.rem(TAPS)).sub((TAPS - 1) / 2)];
      const inside = row
        .ge(0)
        .and(row.lt(height))
        .and(place.ge(0))
        .and(place.lt(width))
        .and(pixel.lt(p.out.shape(0)));
      const pixels = p.x.pointer.add(along(image, 0).add(along(row, 1)).add(along(place, 2)).perRow());
      return tl.loop({ to: channels, step: K }, taps, (channel, { sums }) => {
        const inner = tl.arange(0, K).add(channel);
        const mask = inside.perRow().and(inner.lt(channels).perColumn());
        const left = tl.load(pixels.add(inner.perColumn()), { mask });
        return { sums: tl.dot(left, p.weight.load([tap.div(TAPS), tap.rem(TAPS), channel, column], [K, N]), sums) };
      });
    });
    p.out.store([first, column], sums.to(p.out.dtype));
  },
});

const [IMAGES, HEIGHT, WIDTH, FEATURES, TAPS] = [2, 5, 7, 24, 3];

function reference(x: ArrayLike<number>, weight: ArrayLike<number>, channels: number): Terms {
  const out = new Terms(IMAGES * HEIGHT * WIDTH * FEATURES);
  for (let pixel = 0; pixel < IMAGES * HEIGHT * WIDTH; pixel++)
    for (let tap = 0; tap < TAPS * TAPS; tap++) {
      const row = (Math.floor(pixel / WIDTH) % HEIGHT) + Math.floor(tap / TAPS) - 1;
      const place = (pixel % WIDTH) + (tap % TAPS) - 1;
      if (row < 0 || row >= HEIGHT || place < 0 || place >= WIDTH) continue;
      const from = (Math.floor(pixel / (HEIGHT * WIDTH)) * HEIGHT + row) * WIDTH + place;
      for (let feature = 0; feature < FEATURES; feature++)
        for (let channel = 0; channel < channels; channel++)
          out.add(
            pixel * FEATURES + feature,
            x[from * channels + channel]! * weight[(tap * channels + channel) * FEATURES + feature]!,
          );
    }
  return out;
}

onEveryTarget((device) => {
  // Rows of 16 bytes times something, of 8, and of 2.
  it.each([40, 36, 37])("of %i channels", async (channels) => {
    const x = numbers("f16", [IMAGES, HEIGHT, WIDTH, channels], 1);
    const weight = numbers("f16", [TAPS, TAPS, channels, FEATURES], 2, 0.2);
    const out = device.empty([IMAGES * HEIGHT * WIDTH, FEATURES], "f16");
    device.launch(convolution, { x: x.on(device), weight: weight.on(device), out });
    await expectClose(out, reference(x.values, weight.values, channels), TAPS * TAPS * channels);
  });
});

it("is a pipelined product inside, with the addresses of pixels made once a tap", () => {
  const [product] = ptxOf(convolution, { dtypes: { T: "f16" } }).loops;
  expect([product!(/^mma/), product!(/^cp\.async\.cg/), product!(/^bar\.sync/)]).toEqual([16, 4, 1]);
  expect(product!(/^(ld|st)\.(global|shared)/)).toBe(0);
  // Tens, not hundreds, for addresses and counts.
  expect(product!(/\.(s32|s64|u32|b32|b64|pred)$/)).toBeLessThan(50);
});
