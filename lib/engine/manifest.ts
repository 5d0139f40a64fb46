/** What a key is made of, kept so that a later build can say what changed. */

/** Flat: the name of each part of a key, and its value as it went into the key. */
export type Manifest = Record<string, string>

/** One part that differs. `before` is absent when the part is new, `after` when it is gone. */
export interface ManifestChange {
  name: string
  before?: string
  after?: string
}

/** The parts in which two manifests differ, sorted by the bytes of their names. */
export function diffManifests(before: Manifest, after: Manifest): ManifestChange[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  return names
    .filter((name) => own(before, name) !== own(after, name))
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map((name) => {
      const change: ManifestChange = { name }
      const old = own(before, name)
      const now = own(after, name)
      if (old !== undefined) change.before = old
      if (now !== undefined) change.after = now
      return change
    })
}

// A part may be named `constructor`: never look at the prototype.
function own(manifest: Manifest, name: string): string | undefined {
  return Object.hasOwn(manifest, name) ? manifest[name] : undefined
}
