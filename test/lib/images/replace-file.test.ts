import assert from 'node:assert/strict'
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { makeFolder, Replacements, replaceWithBytes, sweepParts } from '../../../lib/images/replace-file.ts'
import { needsRoot } from '../../helpers/needs.ts'
import { temporaryFolder } from '../../helpers/store.ts'

const placement = { mode: 0o644, caller: undefined }
const { signal } = new AbortController()

test('files take their names together, and not before', async (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'a'), 'old')
  writeFileSync(join(folder, 'source'), 'copied')
  const files = new Replacements(placement)
  await files.addBytes(join(folder, 'a'), Buffer.from('new'))
  await files.addCopy(join(folder, 'b'), join(folder, 'source'), signal)
  assert.equal(readFileSync(join(folder, 'a'), 'utf8'), 'old')
  assert.ok(!readdirSync(folder).includes('b'))
  await files.commit()
  await files.discard()
  assert.deepEqual(readdirSync(folder).sort(), ['a', 'b', 'source'])
  assert.equal(readFileSync(join(folder, 'a'), 'utf8'), 'new')
  assert.equal(readFileSync(join(folder, 'b'), 'utf8'), 'copied')
})

test('what is given up leaves nothing behind, and the old files as they were', async (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'a'), 'old')
  mkdirSync(join(folder, 'taken'))
  const files = new Replacements(placement)
  await files.addBytes(join(folder, 'a'), Buffer.from('new'))
  await assert.rejects(files.addBytes(join(folder, 'taken'), Buffer.from('new')), { code: 'E_INPUT' })
  await assert.rejects(files.addCopy(join(folder, 'b'), join(folder, 'nothing'), signal), { code: 'ENOENT' })
  await files.discard()
  assert.deepEqual(readdirSync(folder).sort(), ['a', 'taken'])
  assert.equal(readFileSync(join(folder, 'a'), 'utf8'), 'old')
})

test('what processes that are gone left half-written goes, what others write now stays', async (t) => {
  const folder = temporaryFolder(t)
  const [gone, alive] = [999_999_999, process.ppid].map((pid) => `.fleetsie-${pid}-00112233.part`)
  for (const name of [gone!, alive!]) writeFileSync(join(folder, name), 'half')
  await replaceWithBytes(join(folder, 'a'), Buffer.from('whole'), placement)
  assert.deepEqual(readdirSync(folder).sort(), [alive, 'a'])
})

test('what another user has called so is left to him by root', { skip: needsRoot }, async (t) => {
  const folder = temporaryFolder(t)
  const [ours, theirs] = ['00112233', '44556677'].map((id) => join(folder, `.fleetsie-999999999-${id}.part`))
  for (const path of [ours!, theirs!]) mkdirSync(join(path, 'in'), { recursive: true })
  chownSync(theirs!, 65534, 65534)
  await sweepParts(folder)
  assert.deepEqual(readdirSync(folder), [basename(theirs!)])
})

test('a copy of many pieces has the bytes of its source and the mode that was asked for', async (t) => {
  const folder = temporaryFolder(t)
  // More than is synced at once, and no whole number of pieces.
  const bytes = Buffer.alloc(35 * 1024 * 1024 + 5)
  for (let at = 0; at < bytes.length; at += 4093) bytes.writeUInt32LE(at, Math.min(at, bytes.length - 4))
  writeFileSync(join(folder, 'source'), bytes)
  chmodSync(join(folder, 'source'), 0o444)
  const files = new Replacements(placement)
  await files.addCopy(join(folder, 'copy'), join(folder, 'source'), signal)
  await files.commit()
  assert.ok(readFileSync(join(folder, 'copy')).equals(bytes))
  assert.equal(lstatSync(join(folder, 'copy')).mode & 0o7777, 0o644)
})

test('an empty file is copied as well', async (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'source'), '')
  const files = new Replacements(placement)
  await files.addCopy(join(folder, 'copy'), join(folder, 'source'), signal)
  await files.commit()
  assert.equal(lstatSync(join(folder, 'copy')).size, 0)
})

test('a copy ends when the build is interrupted', async (t) => {
  const folder = temporaryFolder(t)
  writeFileSync(join(folder, 'source'), 'bytes')
  const reason = new Error('interrupted')
  const files = new Replacements(placement)
  const copy = files.addCopy(join(folder, 'copy'), join(folder, 'source'), AbortSignal.abort(reason))
  await assert.rejects(copy, reason)
  await files.discard()
  assert.deepEqual(readdirSync(folder), ['source'])
})

test('a link in the place of a file is replaced, never followed', async (t) => {
  const folder = temporaryFolder(t)
  await makeFolder(join(folder, 'out'), 0o755, undefined)
  writeFileSync(join(folder, 'mine'), 'mine')
  symlinkSync(join(folder, 'mine'), join(folder, 'out', 'a'))
  await replaceWithBytes(join(folder, 'out', 'a'), Buffer.from('new'), placement)
  assert.equal(readFileSync(join(folder, 'mine'), 'utf8'), 'mine')
  assert.ok(lstatSync(join(folder, 'out', 'a')).isFile())
})
