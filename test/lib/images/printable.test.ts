import assert from 'node:assert/strict'
import { test } from 'node:test'
import { printable } from '../../../lib/images/printable.ts'

const latin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')
const rows: [title: string, bytes: string, text: string][] = [
  ['UTF-8 is shown as it is', latin1('ümläut 日本語 😀'), 'ümläut 日本語 😀'],
  ['a byte that is no UTF-8 is spelled out', 'a\xffb\xc3', 'a\\xffb\\xc3'],
  ['an overlong form is no UTF-8', '\xc0\xaf', '\\xc0\\xaf'],
  ['a surrogate is none', '\xed\xa0\x80', '\\xed\\xa0\\x80'],
  ['nor is what lies beyond Unicode', '\xf4\x90\x80\x80', '\\xf4\\x90\\x80\\x80'],
  ['controls are spelled out', 'a\n\t\x1b\x7f', 'a\\u{a}\\u{9}\\u{1b}\\u{7f}'],
  ['so is what turns text around', latin1('\u202egnp\u2066'), '\\u{202e}gnp\\u{2066}'],
  ['and what nobody sees', latin1('a\u200bb\u2028\ufeff'), 'a\\u{200b}b\\u{2028}\\u{feff}'],
]
for (const [title, bytes, text] of rows) test(title, () => assert.equal(printable(bytes), text))
