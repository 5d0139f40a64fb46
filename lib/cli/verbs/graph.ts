/** `graph`: a target's stages as a drawing in the language of dot or mermaid, or as a page with all that is known of them. */
import { dirname, join, relative, resolve } from 'node:path'
import { inputsOf, nodeNames } from '../../engine/graph.ts'
import { callerOf } from '../../images/caller.ts'
import { makeFolder, replaceWithBytes } from '../../images/replace-file.ts'
import type { Session } from '../session.ts'
import { chooseTargets, type Target } from '../targets.ts'

interface Edge {
  from: string
  to: string
  label: string
}

export async function graph(
  session: Session,
  target: string | undefined,
  options: { json?: boolean; format: 'dot' | 'mermaid'; html?: string | true },
): Promise<void> {
  await session.show({ json: options.json })
  const [chosen] = chooseTargets(session.requireProject().targets, target ? [target] : []) as [Target]
  if (options.html !== undefined) return writePage(session, chosen, options.html)
  const { name, root } = chosen
  const names = nodeNames(root)
  const deployed = [...names].filter(([node]) => node.stage.kind === 'deploy').map(([, label]) => label)
  const edges: Edge[] = [...names].flatMap(([node, to]) =>
    inputsOf(node).map(({ label, derivation }) => ({ from: names.get(derivation)!, to, label })),
  )
  const nodes = [...names.values()]
  const text = options.format === 'dot' ? dot(name, nodes, edges, deployed) : mermaid(nodes, edges, deployed)
  session.emit({ type: 'answer', text, data: { target: name, nodes, edges } })
}

/** Builds nothing: the page tells what the store remembers. */
async function writePage(session: Session, target: Target, file: string | true): Promise<void> {
  const { collect } = await import('../page/collect.ts')
  const { pageOf } = await import('../page/document.ts')
  const store = await session.openStore()
  const { cwd } = session.requireProject()
  const page = pageOf(await collect(store, cwd, target, session.signal))
  const path = file === true ? join(cwd, 'out', `${target.name}.html`) : resolve(file)
  const caller = callerOf(process.env)
  await makeFolder(dirname(path), 0o755, caller)
  await replaceWithBytes(path, Buffer.from(page), { mode: 0o644, caller })
  session.emit({ type: 'answer', text: relative('', path), data: { target: target.name, file: path } })
}

function dot(target: string, nodes: string[], edges: Edge[], deployed: string[]): string {
  return [
    `digraph ${JSON.stringify(target)} {`,
    '  rankdir=LR',
    ...nodes.map(
      (node) => `  ${JSON.stringify(node)} [shape=${deployed.includes(node) ? 'ellipse' : 'box'}]`,
    ),
    ...edges.map(
      ({ from, to, label }) =>
        `  ${JSON.stringify(from)} -> ${JSON.stringify(to)} [label=${JSON.stringify(label)}]`,
    ),
    '}',
  ].join('\n')
}

function mermaid(nodes: string[], edges: Edge[], deployed: string[]): string {
  const shape = (node: string): string =>
    deployed.includes(node) ? `${node}(["${node}"])` : `${node}["${node}"]`
  return [
    'flowchart LR',
    ...nodes.map((node) => `  ${shape(node)}`),
    ...edges.map(({ from, to, label }) => `  ${from} -->|"${label}"| ${to}`),
  ].join('\n')
}
