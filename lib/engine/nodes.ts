/** The graph of one target, with the names that events give its stages. */
import type { InputNames } from './explain.ts'
import { inputsOf, nodeNames } from './graph.ts'
import type { Derivation } from './stage.ts'

/** A node of one target's graph, as events call it. */
export interface Node {
  target: string
  name: string
  derivation: Derivation
}

/** The graph of one target. */
export type Nodes = Map<Derivation, Node>

/** Which stage stands at each place among a derivation's options. */
export function inputNames(nodes: Nodes, derivation: Derivation): InputNames {
  return new Map(inputsOf(derivation).map((input) => [input.label, nodes.get(input.derivation)!.name]))
}

/** The nodes of a target with the names that events give them. */
export function nodesOf(target: string, root: Derivation): Nodes {
  return new Map([...nodeNames(root)].map(([derivation, name]) => [derivation, { target, name, derivation }]))
}
