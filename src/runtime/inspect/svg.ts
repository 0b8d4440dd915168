/**
 * @file A drawing of rectangles and texts, as SVG.
 */

export interface RectangleStyle {
  readonly fill?: string;
  readonly stroke?: string;
  readonly dashed?: boolean;
}

export interface TextStyle {
  readonly anchor?: "start" | "middle" | "end";
  /** In pixels; 10 if missing. */
  readonly size?: number;
  readonly bold?: boolean;
}

/** Pixels that a character of the drawings' font takes, for a size of 1. */
const CHARACTER_WIDTH = 0.61;
const FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace";

export const textWidth = (text: string, size = 10): number => text.length * size * CHARACTER_WIDTH;

export const escapeMarkup = (text: string): string =>
  text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");

/** Hue in degrees, saturation and lightness in percent, as "#rrggbb", which every renderer knows. */
export function colour(hue: number, saturation: number, lightness: number): string {
  const [s, l] = [saturation / 100, lightness / 100];
  const channel = (n: number): string => {
    const k = (n + hue / 30) % 12;
    const value = l - s * Math.min(l, 1 - l) * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(255 * value)
      .toString(16)
      .padStart(2, "0");
  };
  return `#${channel(0)}${channel(8)}${channel(4)}`;
}

const short = (value: number): string => `${Math.round(value * 10) / 10}`;

export class Drawing {
  readonly #parts: string[] = [];
  #width = 0;
  #height = 0;

  rectangle(x: number, y: number, width: number, height: number, style: RectangleStyle = {}): void {
    const { fill = "none", stroke, dashed = false } = style;
    this.#reach(x + width, y + height);
    const line = stroke === undefined ? "" : ` stroke="${stroke}"`;
    const dash = dashed ? ' stroke-dasharray="4 2"' : "";
    const place = `x="${short(x)}" y="${short(y)}" width="${short(width)}" height="${short(height)}"`;
    this.#parts.push(`<rect ${place} fill="${fill}"${line}${dash}/>`);
  }

  /** `y` is the base line. */
  text(x: number, y: number, text: string, { anchor = "start", size = 10, bold = false }: TextStyle = {}): void {
    const width = textWidth(text, size);
    this.#reach(x + (anchor === "start" ? width : anchor === "middle" ? width / 2 : 0), y + size / 3);
    const at = anchor === "start" ? "" : ` text-anchor="${anchor}"`;
    const font = `${size === 10 ? "" : ` font-size="${size}"`}${bold ? ' font-weight="bold"' : ""}`;
    this.#parts.push(`<text x="${short(x)}" y="${short(y)}"${at}${font}>${escapeMarkup(text)}</text>`);
  }

  #reach(x: number, y: number): void {
    this.#width = Math.max(this.#width, x);
    this.#height = Math.max(this.#height, y);
  }

  /** With a margin around everything that was drawn. */
  toString(): string {
    const [width, height] = [Math.ceil(this.#width + 10), Math.ceil(this.#height + 10)];
    const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
    return [
      `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="${FONT}" font-size="10">`,
      `<rect width="${width}" height="${height}" fill="white"/>`,
      ...this.#parts,
      "</svg>",
      "",
    ].join("\n");
  }
}
