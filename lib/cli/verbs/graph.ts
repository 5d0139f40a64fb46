/** `graph`: a target's stages as a drawing in the language of dot or mermaid. */
import { inputsOf, nodeNames } from '../../engine/graph.ts'
import type { Session } from '../session.ts'
import { chooseTargets } from '../targets.ts'

interface Edge {
  from: string
  to: string
  label: string
}

export async function graph(
  session: Session,
  target: string | undefined,
  options: { json?: boolean; format: 'dot' | 'mermaid' },
): Promise<void> {
  await session.show({ json: options.json })
  const [{ name, root }] = chooseTargets(session.requireProject().targets, target ? [target] : []) as [
    ReturnType<typeof chooseTargets>[number],
  ]
  const names = nodeNames(root)
  const deployed = [...names].filter(([node]) => node.stage.kind === 'deploy').map(([, label]) => label)
  const edges: Edge[] = [...names].flatMap(([node, to]) =>
    inputsOf(node).map(({ label, derivation }) => ({ from: names.get(derivation)!, to, label })),
  )
  const nodes = [...names.values()]
  const text = options.format === 'dot' ? dot(name, nodes, edges, deployed) : mermaid(nodes, edges, deployed)
  session.emit({ type: 'answer', text, data: { target: name, nodes, edges } })
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
