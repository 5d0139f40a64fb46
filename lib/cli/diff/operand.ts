/** What a command line names as an image: a file, a desk's folder, or what a target's builds left in the store. */
import { readdir, readlink, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { type Node, nodesOf } from '../../engine/nodes.ts'
import type { Digest } from '../../engine/stage.ts'
import type { Store } from '../../engine/store/store.ts'
import type { StoredObject } from '../../engine/store/types.ts'
import { FleetsieError } from '../../errors.ts'
import { diskName, type ImageManifest, readManifest } from '../../images/image.ts'
import type { Project } from '../project.ts'
import { chooseTargets } from '../targets.ts'

export interface Operand {
  /** As the user wrote it. */
  name: string
  file: string
  /** Of the image in `file`, where it is known. */
  manifest?: ImageManifest
}

interface Where {
  project: Project | undefined
  openStore(): Promise<Store>
}

const imageFile = /\.img(\.(xz|gz|zst))?$|\.zip$/

/**
 * `TARGET[/STAGE][~N]`: what the target's last build made, or that stage; `~1` is the result before it that differs.
 * Anything else is a path, and so is what begins with `./`. Fails with E_INPUT where there is no image.
 */
export async function findOperand(text: string, where: Where): Promise<Operand> {
  const match = /^([^/~]+)(?:\/([^/~]+))?(?:~(\d{1,2}))?$/.exec(text)
  if (match && where.project && Object.hasOwn(where.project.targets, match[1]!)) {
    const [, target, stage, back = '0'] = match
    return builtImage(
      text,
      { target: target!, stage, back: Number(back) },
      where.project,
      await where.openStore(),
    )
  }
  return fileImage(text)
}

/** Raw images of the same target, which others may be told as a change of. */
export async function stockImages(text: string, where: Where): Promise<Operand[]> {
  const target = text.split(/[/~]/)[0]!
  if (!where.project || !Object.hasOwn(where.project.targets, target)) return []
  const store = await where.openStore()
  const [{ root }] = chooseTargets(where.project.targets, [target]) as [
    ReturnType<typeof chooseTargets>[number],
  ]
  const found: Operand[] = []
  for (const node of nodesOf(target, root).values()) {
    const [digest] = digestsOf(store, `${where.project.cwd} ${target}`, node)
    const object = digest && store.object(digest)
    const image = object && (await imageIn(object.path))
    if (image?.manifest && basename(image.file) === diskName) found.push({ name: target, ...image })
  }
  return found
}

async function builtImage(
  text: string,
  { target, stage, back }: { target: string; stage: string | undefined; back: number },
  { targets, cwd }: Project,
  store: Store,
): Promise<Operand> {
  const [{ root }] = chooseTargets(targets, [target]) as [ReturnType<typeof chooseTargets>[number]]
  const nodes = [...nodesOf(target, root).values()].filter(
    ({ derivation }) => derivation.stage.kind === 'build',
  )
  const wanted = stage === undefined ? nodes.reverse() : nodes.filter(({ name }) => name === stage)
  if (wanted.length === 0) {
    throw new FleetsieError('E_USAGE', `${text}: ${target} has no stage ${stage}`, {
      hint: `one of ${nodes.map(({ name }) => name).join(', ')}`,
    })
  }
  const targetId = `${cwd} ${target}`
  let known = false
  for (const node of wanted) {
    const digests = digestsOf(store, targetId, node)
    known ||= digests.length > 0
    const newest = digests[0] && store.object(digests[0])
    // The last stage of a target may make something else of the image: a signature, a bundle.
    if (stage === undefined && (!newest || !(await imageIn(newest.path)))) continue
    return { name: text, ...(await imageOf(text, objectAt(text, store, digests, back))) }
  }
  throw new FleetsieError(
    'E_INPUT',
    `${text}: ${known ? 'no image of it is in the store' : 'it was never built'}`,
    {
      hint: `build it: fleetsie build ${target}`,
    },
  )
}

/** What a stage made, the latest first, each result once in a row. */
function digestsOf(store: Store, targetId: string, { name }: Node): Digest[] {
  const digests = store.runs(targetId, name).flatMap(({ key }) => store.trace(key) ?? [])
  return digests.filter((digest, index) => digest !== digests[index - 1])
}

function objectAt(text: string, store: Store, digests: readonly Digest[], back: number): StoredObject {
  const digest = digests[back]
  if (digest === undefined) {
    const earlier = Math.max(0, digests.length - 1)
    throw new FleetsieError(
      'E_INPUT',
      `${text}: ${earlier === 1 ? '1 earlier result is' : `${earlier} earlier results are`} remembered`,
      {
        hint: 'a result that is the same as the one before it is not counted',
      },
    )
  }
  const object = store.object(digest)
  if (object) return object
  throw new FleetsieError('E_INPUT', `${text}: that result is not in the store any more`, {
    hint: 'check out what it was built from and build again',
  })
}

async function imageOf(text: string, { path, name }: StoredObject): Promise<Omit<Operand, 'name'>> {
  const image = await imageIn(path)
  if (image) return image
  throw new FleetsieError('E_INPUT', `${text}: ${name} makes no disk image`)
}

async function imageIn(folder: string): Promise<Omit<Operand, 'name'> | undefined> {
  const names = await readdir(folder)
  const [image, ...others] = names.filter((name) => imageFile.test(name))
  if (image === undefined || others.length > 0) return undefined
  const file = join(folder, image)
  return names.includes('image.json') ? { file, manifest: await readManifest(folder) } : { file }
}

async function fileImage(text: string): Promise<Operand> {
  const path = resolve(text)
  const found = await stat(path).catch((cause: unknown) => {
    throw new FleetsieError('E_INPUT', `${text}: there is no such file, and no target of that name`, {
      cause,
    })
  })
  if (!found.isDirectory()) return { name: text, file: path }
  const link = await readlink(join(path, '.image')).catch((cause: unknown) => {
    throw new FleetsieError('E_INPUT', `${text} is a folder, and no desk: it has no .image`, { cause })
  })
  return { name: text, file: resolve(dirname(join(path, '.image')), link) }
}
