import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linesOf } from '../../../../lib/cli/renderers/lines.ts'
import type { BuildEvent } from '../../../../lib/engine/events.ts'

const image = { path: '/a', sha256: 'f'.repeat(64), kind: 'image' }
const rows: [title: string, event: BuildEvent, lines: string[]][] = [
  [
    'a stage takes one line, whatever the file is called that it runs for',
    { type: 'stage', target: 't', stage: 'a', action: 'built', because: 'b\n\x1b[31mc was added', ms: 5 },
    ['a            built           5 ms  because b\\x0a\\x1b[31mc was added'],
  ],
  [
    'an artifact takes one line',
    { type: 'artifacts', target: 't', artifacts: [{ path: '/a\nb', sha256: 'f'.repeat(64), kind: 'file' }] },
    ['ffffffffffff  file         /a\\x0ab'],
  ],
  [
    'an error keeps its lines, and loses what a terminal would obey',
    { type: 'error', code: 'E_STAGE', message: 'sh failed:\n\tone\x1b]0;two\x07', hint: 'mend it' },
    ['error: sh failed:\n\tone\\x1b]0;two\\x07', '  try: mend it'],
  ],
  [
    'an error names its file',
    { type: 'error', code: 'E_DAMAGED', message: 'it is cut off', file: '/a.img' },
    ['error: /a.img: it is cut off'],
  ],
  [
    'an error that names its file does so once',
    { type: 'error', code: 'E_RIGHTS', message: '/dev/sdc may not be opened', file: '/dev/sdc' },
    ['error: /dev/sdc may not be opened'],
  ],
  [
    'a failure says why at once, as only one of several ends the build',
    { type: 'failed', target: 't', stage: 'a', code: 'E_STAGE', message: 'sh failed:\nlong', log: '/log' },
    ['a            failed: sh failed:', '             the whole log: /log'],
  ],
  [
    'edits take one line, whatever the files are called and however many they are',
    { type: 'changed', paths: ['a\nb', 'c'], more: 497 },
    ['edited       a\\x0ab, c and 497 more'],
  ],
  [
    'a build says what it did',
    { type: 'summary', target: 't', ran: 2, stages: 7, ms: 2300 },
    ['done         after          2.3 s  2 of 7 stages ran'],
  ],
  [
    'a build with nothing to do says so',
    { type: 'summary', target: 't', ran: 0, stages: 7, ms: 20 },
    ['done         after          20 ms  nothing to do'],
  ],
  [
    'the end of a build names its first artifact and how long it took',
    { type: 'ready', result: 'built', ms: 231, artifacts: [image, { ...image, path: '/b' }] },
    ['ready        after 231 ms  /a and 1 more'],
  ],
  [
    'a build that changed nothing says nothing',
    { type: 'ready', result: 'unchanged', ms: 1, artifacts: [] },
    [],
  ],
  [
    'a build that made the same says so',
    { type: 'ready', result: 'same', ms: 20, artifacts: [] },
    ['ready        after 20 ms  the result is the same'],
  ],
  [
    'a build that failed is not the end',
    { type: 'ready', result: 'failed', ms: 20, artifacts: [] },
    ['waiting      for the next edit'],
  ],
  [
    'what a command of the user prints loses what a terminal would obey',
    { type: 'output', stream: 'stdout', text: '\x1b[2Jdone' },
    ['\\x1b[2Jdone'],
  ],
]
for (const [title, event, lines] of rows) {
  test(title, () =>
    assert.deepEqual(
      linesOf(event, false).map(({ text }) => text),
      lines,
    ),
  )
}
