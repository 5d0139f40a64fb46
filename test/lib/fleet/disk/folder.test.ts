/** A provisioning disk that is a folder. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { folderPlace } from '../../../../lib/fleet/disk/folder.ts'

test('what was left half-written by who is gone goes with the next write, in folders of the disk as well', async (t) => {
  const disk = mkdtempSync(join(tmpdir(), 'fleetsie-disk-'))
  t.after(() => rmSync(disk, { recursive: true }))
  const top = join(disk, 'fleetsie')
  mkdirSync(join(top, 'customize'), { recursive: true })
  const [gone, alive] = [999_999_999, process.pid].map((pid) => `.fleetsie-${pid}-00112233.part`)
  for (const folder of [top, join(top, 'customize')]) {
    for (const name of [gone!, alive!]) writeFileSync(join(folder, name), 'half')
  }
  const place = await folderPlace(disk, { name: disk, caller: undefined, hasPermissions: true })
  const setup = { do: 'write', name: 'customize/setup', bytes: Buffer.from('#!/bin/sh\n') } as const
  await place.apply([setup], new AbortController().signal)
  await place.close()
  assert.deepEqual(readdirSync(top).sort(), [alive, 'customize'])
  assert.deepEqual(readdirSync(join(top, 'customize')).sort(), [alive, 'setup'])
})
