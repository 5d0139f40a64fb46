import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import type { PageData, PageStage } from '../../../../lib/cli/page/data.ts'
import { pageOf } from '../../../../lib/cli/page/document.ts'
import { MiB } from '../../../helpers/disks.ts'

const harm = `</script><img src=x onerror="a()">'&\u202e\n\x1b`
const stage = (name: string, more: Partial<PageStage> = {}): PageStage => ({
  name,
  stage: name,
  summary: harm,
  kind: 'build',
  options: [[harm, harm]],
  sources: [harm],
  tools: [[harm, harm]],
  ...more,
})
const result = { stage: 'b', action: 'built', because: harm, start: 0, ms: 5 } as const

const data: PageData = {
  target: 'target',
  about: harm,
  made: 0,
  version: '1',
  stages: [
    stage('a', { output: { digest: 'f'.repeat(64), bytes: 5, gone: harm } }),
    stage('b', {
      last: { ...result, at: 0, current: true },
      files: [{ path: harm, kind: harm }],
      kind: 'deploy',
    }),
  ],
  edges: [{ from: 'a', to: 'b', label: 'from' }],
  builds: [{ at: 0, ms: 5, stages: [result] }],
  disk: {
    size: 2048 * MiB,
    table: 'MBR',
    partitions: [
      { number: 1, offset: MiB, size: MiB, filesystem: 'vfat', label: harm, used: 0 },
      { number: 2, offset: 2 * MiB, size: 2046 * MiB, filesystem: null, label: null },
    ],
  },
  layers: [
    { stage: 'a', partition: 2, effect: { added: 1, changed: 0, removed: 0, bytesIn: 1, bytesOut: 0 } },
  ],
  files: [[harm, 'added', 0, 'file', 1, 0, '0644', '0:0', harm]],
  more: 3,
  remarks: [harm],
}

describe('the page as text', () => {
  const page = pageOf(data)

  test('holds nothing of a value that a browser or a reader would obey', () => {
    const outside = page.replace(/<script type="application\/json".*?<\/script>/s, '')
    for (const part of ['<img', 'onerror="', '\u202e', '\x1b']) assert.ok(!outside.includes(part), part)
    assert.equal(page.match(/<\/script>/g)?.length, 2, 'its own two, and no other')
    assert.ok(
      page.includes(
        '&lt;/script&gt;&lt;img src=x onerror=&quot;a()&quot;&gt;&#39;&amp;\\u{202e}\\u{a}\\u{1b}',
      ),
    )
  })

  test('gives back the data of the search as they were', () => {
    const json = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page)![1]!
    assert.deepEqual(JSON.parse(json).files, data.files)
    assert.doesNotMatch(json, /</)
  })

  test('allows its own style and program by their sums, and nothing else', () => {
    const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/
      .exec(page)![1]!
      .replaceAll('&#39;', "'")
    const sum = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`
    const style = /<style>(.*?)<\/style>/s.exec(page)![1]!
    const script = /<script>(.*?)<\/script>/s.exec(page)![1]!
    assert.equal(
      policy,
      `default-src 'none'; style-src ${sum(style)}; script-src ${sum(script)}; img-src data:; base-uri 'none'; form-action 'none'`,
    )
    assert.doesNotMatch(page.replace(/<script>.*?<\/script>/s, ''), /\sstyle=|\son[a-z]+="|https?:\/\//)
  })

  test('keeps a small partition beside a large one wide enough for its name', () => {
    const widths = [...page.matchAll(/<svg x="([\d.]+)%" y="0" width="([\d.]+)%"/g)].map(([, x, width]) => [
      Number(x),
      Number(width),
    ])
    assert.equal(widths.length, 2)
    assert.ok(widths[0]![1]! > 12, String(widths))
    assert.ok(Math.abs(widths[1]![0]! + widths[1]![1]! - 100) < 0.01, String(widths))
  })
})
