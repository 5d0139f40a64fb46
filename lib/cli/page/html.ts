/** Markup from values that may hold anything. */
import { printable } from '../../images/printable.ts'

/** Text that is markup already. */
export class Markup {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

type Value = string | number | Markup | readonly Markup[] | undefined | false

/** html`<b>${anything}</b>`: what stands in braces is escaped, unless it is markup. */
export function html(parts: TemplateStringsArray, ...values: Value[]): Markup {
  return new Markup(parts.reduce((text, part, index) => text + markup(values[index - 1]) + part))
}

function markup(value: Value): string {
  if (value === undefined || value === false) return ''
  if (value instanceof Markup) return value.text
  if (typeof value === 'object') return value.map(({ text }) => text).join('')
  return escaped(String(value))
}

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text as content or quoted attribute; what would not be seen, or turns text around, is spelled out. */
function escaped(text: string): string {
  return printable(Buffer.from(text, 'utf8').toString('latin1')).replace(
    /[&<>"']/g,
    (found) => entities[found]!,
  )
}

/** JSON for the inside of a <script> of data: no `<` can end it. */
export function dataJson(value: unknown): Markup {
  return new Markup(
    JSON.stringify(value).replace(
      /[<>&\u2028\u2029]/g,
      (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
    ),
  )
}

/** A share of a whole as an SVG length. */
export function percent(part: number, whole: number): string {
  return `${whole > 0 ? Math.round((part / whole) * 1e5) / 1e3 : 0}%`
}
