/** @file A kernel in text form: out[i, j] = factor * x[i, j], a program for each run of eight elements of a row. */
export const scaleRowsText = `kernel scale_rows(%x: view<f32, 2>, %out: view<f32, 2>, %factor: f32)
  grid ("x.shape.0", "ceilDiv(x.shape.1, 8)", "1")
{
  %row = program_id {axis = 0} : i32
  %block = program_id {axis = 1} : i32
  %eight = constant 8 : i32
  %column = mul %block, %eight : i32
  %tile = view_load %x, %row, %column {inBounds = [false]} : tile<8xf32>
  %wide = cast %tile : tile<8xf32>
  %factors = splat %factor : tile<8xf32>
  %scaled = mul %wide, %factors : tile<8xf32>
  %narrow = cast %scaled : tile<8xf32>
  view_store %out, %narrow, %row, %column {inBounds = [false]}
}`;
