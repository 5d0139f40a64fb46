import assert from 'node:assert/strict'
import { test } from 'node:test'
import { editMtree, type LineEdit } from '../../../../lib/images/desk/mtree-lines.ts'
import { defaultFile, defaultFolder } from '../../../../lib/images/desk/nodes.ts'
import { editFor } from '../../../../lib/images/desk/said.ts'

const folder = (mode: number, uid = 0): LineEdit =>
  editFor('directory', { ...defaultFolder, mode, uid }, defaultFolder, undefined)
const file = (mode: number, uid = 0): LineEdit =>
  editFor('file', { ...defaultFolder, mode, uid }, defaultFile('file', false), undefined)

const cases: [string, string, [string, LineEdit | undefined][], string, rewritten?: true][] = [
  ['a first line makes the file', '', [['etc/x', file(0o600)]], './etc/x mode=0600\n'],
  ['the last line that goes takes the file with it', './etc/x mode=0600\n', [['etc/x', undefined]], ''],
  [
    'new lines come where they belong, by the order of paths',
    './a mode=0600\n./m mode=0600\n./z mode=0600\n',
    [
      ['b', file(0o640)],
      ['zz', file(0o640)],
      ['A', file(0o640)],
    ],
    './A mode=0640\n./a mode=0600\n./b mode=0640\n./m mode=0600\n./z mode=0600\n./zz mode=0640\n',
  ],
  [
    'a comment stays above its line',
    '#mtree\n# about m\n./m mode=0600\n',
    [
      ['a', file(0o640)],
      ['n', file(0o640)],
    ],
    '#mtree\n./a mode=0640\n# about m\n./m mode=0600\n./n mode=0640\n',
  ],
  [
    'words that stay true keep their form, and so do those that are no business of ours',
    '  ./m  uid=05 mode=u=rw,go=r  time=12.5 optional # why\n',
    [['m', file(0o600, 5)]],
    '  ./m  uid=05 mode=0600  time=12.5 optional # why\n',
  ],
  [
    'a continued line that changes becomes one',
    './m uid=5 \\\n  mode=0600\n./n mode=0600\n',
    [['m', file(0o640, 6)]],
    './m uid=6   mode=0640\n./n mode=0600\n',
  ],
  [
    'a file without a line feed at its end',
    './a mode=0600',
    [['b', file(0o640)]],
    './a mode=0600\n./b mode=0640\n',
  ],
  [
    'what a /set says is said otherwise',
    '/set uid=7 gid=7 mode=0640\n./a\n./b mode=0600\n',
    [
      ['c', file(0o600)],
      ['b', file(0o640, 0)],
    ],
    '/set uid=7 gid=7 mode=0640\n./a\n./b mode=0640 type=file uid=0 gid=0\n./c type=file uid=0 gid=0 mode=0600\n',
  ],
  [
    'short names within folders are not led astray by a line in their midst',
    'etc type=dir\n  a mode=0600\n..\nvar type=dir\n..\n',
    [['etc/b', file(0o640)]],
    'etc type=dir\n  a mode=0600\n..\nvar type=dir\n..\n./etc/b mode=0640\n',
  ],
  [
    'a folder whose names depend on its line cannot just lose it',
    'etc type=dir mode=0700\n  a mode=0600\n..\n# end\n',
    [
      ['etc', undefined],
      ['etc/c', file(0o640)],
    ],
    '#mtree\n. type=dir\n./etc/a mode=0600\n./etc/c mode=0640\n',
    true,
  ],
  [
    'odd names',
    '',
    [
      ['a b/c#d\\e\nf', folder(0o700)],
      ['ü', folder(0o755, 3)],
    ],
    './a\\040b/c\\043d\\134e\\012f type=dir mode=0700\n./\\303\\274 type=dir uid=3\n',
  ],
  [
    'another kind',
    './x type=char device=native,1,3 mode=0666\n',
    [['x', folder(0o700)]],
    './x type=dir mode=0700\n',
  ],
]

for (const [name, before, edits, after, rewritten = false] of cases) {
  test(name, () => {
    const edited = editMtree(Buffer.from(before), new Map(edits))
    assert.equal(edited.bytes?.toString() ?? '', after)
    assert.equal(edited.rewritten, rewritten)
    const again = editMtree(edited.bytes ?? Buffer.alloc(0), new Map(edits))
    assert.equal(again.bytes?.toString() ?? '', after, 'a second time nothing changes')
  })
}
