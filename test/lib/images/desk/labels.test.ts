import assert from 'node:assert/strict'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { labelLinks, makeLinks, removeLinks } from '../../../../lib/images/desk/labels.ts'

describe('links by filesystem label', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'fleetsie-labels-'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const linked = async (...labels: (string | null)[]): Promise<{ names: string[]; notes: string[] }> => {
    const notes: string[] = []
    const partitions = labels.map((label, index) => ({ number: index + 1, label }))
    const links = await labelLinks(folder, partitions, (line) => notes.push(line))
    await makeLinks(folder, links, undefined)
    for (const { name, target } of links) assert.equal(readlinkSync(join(folder, name)), target)
    return { names: links.map(({ name, target }) => `${name} ${target}`), notes }
  }

  const cases: [string, (string | null)[], string[], RegExp[]][] = [
    ['each label is a link to its partition', ['bootfs', 'rootfs'], ['bootfs part_1', 'rootfs part_2'], []],
    ['no label is no link', [null, '', 'rootfs'], ['rootfs part_3'], []],
    ['of two equal labels the first is taken', ['data', 'data'], ['data part_1'], [/part_2.*same label/]],
    [
      'labels that are equal when cleaned count as equal',
      ['a/b', 'ab'],
      ['ab part_1'],
      [/part_2.*same label/],
    ],
    ['slashes and control characters go', ['../../etc/x\n\u001b[31m'], ['etcx[31m part_1'], []],
    [
      'dots in front go, for those names are ours',
      ['.new_1', '..', '.'],
      ['new_1 part_1'],
      [/part_2.*cannot be/, /part_3.*cannot be/],
    ],
    ['spaces inside stay, around they go', [' EFI system '], ['EFI system part_1'], []],
    [
      'the names of fixed things stay theirs',
      ['part_2', 'original', 'overlays', 'merged', 'my_work'],
      [],
      [/part_1.*taken/, /part_2.*taken/, /part_3.*taken/, /part_4.*taken/, /part_5.*taken/],
    ],
  ]
  for (const [title, labels, names, notes] of cases) {
    test(title, async () => {
      const result = await linked(...labels)
      assert.deepEqual(result.names, names)
      assert.equal(result.notes.length, notes.length)
      for (const [index, pattern] of notes.entries()) assert.match(result.notes[index]!, pattern)
    })
  }

  test('what the user has under that name stays: a file, a folder, a link of their own', async () => {
    writeFileSync(join(folder, 'file'), 'mine')
    mkdirSync(join(folder, 'folder'))
    symlinkSync('elsewhere', join(folder, 'link'))
    symlinkSync('part_9', join(folder, 'ours'))
    const { names, notes } = await linked('file', 'folder', 'link', 'ours')
    assert.deepEqual(names, ['ours part_4'])
    assert.equal(notes.length, 3)
    assert.equal(readlinkSync(join(folder, 'link')), 'elsewhere')
  })

  test('only links that still lead where they were made to lead are removed', async () => {
    symlinkSync('part_1', join(folder, 'a'))
    symlinkSync('mine', join(folder, 'b'))
    writeFileSync(join(folder, 'c'), '')
    await removeLinks(folder, [
      { name: 'a', target: 'part_1' },
      { name: 'b', target: 'part_2' },
      { name: 'c', target: 'part_3' },
      { name: 'd', target: 'part_4' },
    ])
    assert.deepEqual(readdirSync(folder), ['b', 'c'])
  })
})
