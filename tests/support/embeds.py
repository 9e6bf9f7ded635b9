"""Models under encoded references."""


def apply_embeds(nodes_by_id, adapters, model, positive, name="ip-adapter_sd15", **settings):
    adapter, _ = adapters(name)
    return (
        nodes_by_id["ApplyIPAdapter"].execute(model, adapter, embeds=positive, **settings).args[0]
    )
