// Pure: the nodes of a graph. Does nothing when the page imports it by itself.

/** @param {any} graph @returns {any[]} its nodes and those of the subgraphs in it */
export function everyNode(graph) {
  return graph.nodes.flatMap((/** @type {any} */ node) => [node, ...(node.subgraph ? everyNode(node.subgraph) : [])])
}
