import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseOsRelease } from '../../../../lib/images/os/os-release.ts'

const values: [string, string, string | undefined][] = [
  ['bare', 'ID=debian', 'debian'],
  ['in double quotes', 'ID="debian"', 'debian'],
  ['in single quotes', "ID='debian'", 'debian'],
  ['with spaces and escapes in quotes', 'ID="a \\"b\\" \\$c"', 'a "b" $c'],
  ['empty', 'ID=', ''],
  ['behind a comment, with carriage returns', '# ID=no\r\nNAME=x\r\nID=debian\r\n', 'debian'],
  ['given twice, of which the last counts', 'ID=a\nID=b', 'b'],
  ['of another name', 'VERSION_ID=12', undefined],
]
for (const [title, text, value] of values) {
  test(`a value of os-release: ${title}`, () => assert.equal(parseOsRelease(text).get('ID'), value))
}
