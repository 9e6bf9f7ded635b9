"""Saved workflows that grow node by node, and whether their links hold."""

SUBGRAPH_LINK = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")


class Saved:
    """A saved graph; a link is what `add` gave, with the number of the output."""

    def __init__(self):
        self.nodes, self.links = [], []

    def add(self, kind, outputs=(), widgets=(), mode=0, **inputs):
        node_id = len(self.nodes) + 1
        sockets = [
            self.link(name, origin, target=(node_id, slot))
            for slot, (name, origin) in enumerate(inputs.items())
        ]
        self.nodes.append(
            {
                "id": node_id,
                "type": kind,
                "pos": [100 * node_id, 50],
                "size": [200, 100],
                "mode": mode,
                "inputs": sockets,
                "outputs": [{"name": name, "type": name, "links": []} for name in outputs],
                "widgets_values": list(widgets),
            }
        )
        return node_id

    def link(self, name, origin, target):
        """The socket at the end of a new link."""
        origin_id, origin_slot = origin
        output = self.nodes[origin_id - 1]["outputs"][origin_slot]
        number = len(self.links) + 1
        self.links.append([number, origin_id, origin_slot, *target, output["type"]])
        output["links"].append(number)
        return {"name": name, "type": output["type"], "link": number}

    def graph(self):
        counters = {"last_node_id": len(self.nodes), "last_link_id": len(self.links)}
        return {"version": 0.4, "nodes": self.nodes, "links": self.links, **counters}


def as_subgraph(graph, picture_id, embeds_id):
    """A workflow with a graph as a subgraph: its picture comes in, its embeds also go out."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    entering = nodes[picture_id]["outputs"][0]["links"][0]
    links = [dict(zip(SUBGRAPH_LINK, link, strict=True)) for link in graph["links"]]
    for link in links:
        if link["id"] == entering:
            link.update(origin_id=-10, origin_slot=0)
    links.append(dict(zip(SUBGRAPH_LINK, (99, embeds_id, 0, -20, 0, "EMBEDS"), strict=True)))
    border = {"inputs": [{"name": "image", "linkIds": [entering]}], "outputs": [{"linkIds": [99]}]}
    subgraph = {**graph, "links": links, **border}
    return {"version": 1, "nodes": [], "links": [], "definitions": {"subgraphs": [subgraph]}}


def check_links(graph):
    """Each link is known at both its ends, and nothing else is."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    links = {link[0]: link for link in graph["links"]}
    assert links
    assert len(nodes) == len(graph["nodes"]) and len(links) == len(graph["links"])
    assert input_places(graph) == {number: tuple(link[3:5]) for number, link in links.items()}
    assert output_places(graph) == {number: tuple(link[1:3]) for number, link in links.items()}
    for number, link in links.items():
        output = nodes[link[1]]["outputs"][link[2]]
        assert output["type"] == link[5] == nodes[link[3]]["inputs"][link[4]]["type"], number


def input_places(graph):
    """Link -> node and input that it ends at, as the nodes say."""
    return {
        socket["link"]: (node["id"], slot)
        for node in graph["nodes"]
        for slot, socket in enumerate(node["inputs"])
        if socket["link"] is not None
    }


def output_places(graph):
    """Link -> node and output that it starts from, as the nodes say."""
    return {
        number: (node["id"], slot)
        for node in graph["nodes"]
        for slot, socket in enumerate(node["outputs"])
        for number in socket["links"]
    }


def source_nodes(graph, node_id):
    """Input -> the node that it is linked to."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    origins = {link[0]: link[1] for link in graph["links"]}
    return {
        socket["name"]: nodes[origins[socket["link"]]]
        for socket in nodes[node_id]["inputs"]
        if socket["link"] is not None
    }
