/** Code that is edited while a process runs it: nothing of an unknown author gets into the store. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { codeDigests, codeFiles, editedCode, pinCode } from '../../../lib/engine/code-digest.ts'
import { rig } from '../../helpers/engine.ts'

const edited: [what: string, modules: { module: string; bundled?: string[] }][] = [
  ['code', { module: 'mine.ts' }],
  ['bundled program', { module: 'other.ts', bundled: ['mine.ts'] }],
]
for (const [what, modules] of edited)
  test(`a stage whose ${what} is edited while it runs fails, and the next build runs it again`, async (t) => {
    const project = await rig(t)
    project.write('other.ts', '')
    project.write('mine.ts', "import './part.ts'\n")
    project.write('part.ts', 'export const part = 1\n')
    let edits = 1
    const mine = project.stage('mine', {
      ...modules,
      run: async ({ out }) => {
        await writeFile(join(out, 'text'), 'done')
        if (edits-- > 0) project.write('part.ts', 'export const part = 22\n')
      },
    })
    const first = await project.build(mine())
    assert.equal(first.error?.code, 'E_INPUT')
    assert.match(first.error?.message ?? '', /the code of mine was edited while it ran/)
    assert.match(first.error?.file ?? '', /part\.ts$/)
    const second = await project.build(mine())
    assert.equal(second.error, undefined)
    assert.equal(mine.runs, 2)
  })

// In the end, because it holds for the rest of the process.
test('pinned code keeps its digest, and only other content counts as edited', async (t) => {
  const project = await rig(t)
  project.write('mine.ts', "import './part.ts'\n")
  project.write('part.ts', 'export const part = 1\n')
  const url = pathToFileURL(join(project.cwd, 'mine.ts')).href
  const files = codeFiles(url, project.cwd)
  assert.deepEqual(files, [join(project.cwd, 'mine.ts'), join(project.cwd, 'part.ts')])
  const before = codeDigests(url, project.cwd)
  pinCode()
  project.write('part.ts', 'export const part = 1\n')
  assert.equal(editedCode(files), undefined)
  project.write('part.ts', 'export const part = 22\n')
  assert.equal(editedCode(files), files[1])
  assert.deepEqual(codeDigests(url, project.cwd), before)
})
