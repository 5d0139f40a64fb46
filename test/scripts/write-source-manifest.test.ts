import assert from 'node:assert/strict'
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { checkout, succeeds } from '../helpers/npm-project.ts'
import { copyCode } from '../helpers/scratch.ts'
import { temporaryFolder } from '../helpers/store.ts'

test('what pipeline.ts imports from anywhere in the checkout is compiled anew when it is edited', async (t) => {
  const root = join(temporaryFolder(t), 'checkout')
  await copyCode(root)
  for (const folder of ['dist', 'mine']) await mkdir(join(root, folder))
  for (const name of ['scripts/write-source-manifest.ts', 'package-lock.json']) {
    await cp(join(checkout, name), join(root, name))
  }
  await writeFile(join(root, 'pipeline.ts'), `import './mine/stage.ts'\n`)
  await writeFile(join(root, 'mine/stage.ts'), `import './deep.ts'\nimport '../lib/index.ts'\n`)
  await writeFile(join(root, 'mine/deep.ts'), '')
  await writeFile(join(root, 'mine/other.ts'), '')
  await succeeds(process.execPath, ['--import', 'tsx', 'scripts/write-source-manifest.ts'], { cwd: root })
  for (const file of ['stamps.new.json', 'source-manifest.json']) {
    const known = Object.keys(JSON.parse(await readFile(join(root, 'dist', file), 'utf8')))
    const own = known.filter((name) => !/^(?:lib|stages)\//.test(name) && !/^package/.test(name))
    assert.deepEqual(own.sort(), ['mine/deep.ts', 'mine/stage.ts', 'pipeline.ts'], file)
    assert.ok(known.includes('lib/index.ts'))
  }
})
