/** Makes one file of a program and what it imports: Node finds and reads each further file for half a millisecond. */

interface How {
  /** The folder that names are relative to in the text: the same bytes wherever it lies. */
  root: string
  format: 'esm' | 'cjs'
  /** What is left outside: names of packages, or patterns of files. */
  external: readonly string[]
}

/** The text, for Node 24. Fails where `entry` imports what is not there. */
export async function oneFile(entry: string, { root, format, external }: How): Promise<Uint8Array> {
  const { build } = await import('esbuild')
  const { outputFiles } = await build({
    entryPoints: [entry],
    absWorkingDir: root,
    bundle: true,
    write: false,
    logLevel: 'silent',
    platform: 'node',
    format,
    target: 'node24',
    charset: 'utf8',
    external: [...external],
    // node_modules may be a link: the text names files by their paths, which are the same everywhere.
    preserveSymlinks: true,
    // Whatever the checkout's tsconfig.json says: a test copies the sources without it.
    tsconfigRaw: {},
  })
  return outputFiles[0]!.contents
}
