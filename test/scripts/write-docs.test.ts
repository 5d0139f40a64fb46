import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { generatedPages } from '../../scripts/write-docs.ts'

const docs = resolve(import.meta.dirname, '../../docs')
for (const [name, text] of generatedPages()) {
  test(`docs/${name} says what the code says`, () => {
    assert.equal(readFileSync(join(docs, name), 'utf8'), text, 'run `npm run docs`')
  })
}
