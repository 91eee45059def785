"""The five published systems, each a package that `stages.train` drives (`train.context.System`).

A system's package imports no torch and holds:

    NAME, SELECT            "pose-aware"; the validation number that keeps the best checkpoint, and
                            whether the "max" or the "min" of it is best
    REQUIRES, ARRAYS        the artefacts it learns from, {"voxels": {"res": 32}, ...}, and which of
                            them each array comes from: {"map": "spheres"}, or {"other":
                            "spheres/map"} under another name
    Params, PRESETS         a frozen dataclass; its named sizes
    build(params)                           the untrained torch module
    dataset(load, ids, params)              the samples of these shapes, a `train.context.Split`;
                                            `load(id)` gives the arrays of a shape
    optimizer(model, params)                its torch.optim.Optimizer
    schedule(params, step)                  the factor on its learning rates
    losses(model, batch, params, context)   tensors by name: "loss" is to be backpropagated, the
                                            others are for the log
    validate(model, batch, params)          (B,) numbers of each sample by name, to be averaged
    predict(model, images, params)          tensors by name, of images (B, 3, H, W), 0 to 1

Optional:

    requires(params)                        REQUIRES where it depends on the parameters, such as
                                            sizes that differ from preset to preset
    bind(params, selection, find)           (system, params) for these data: fills in what only the
                                            data or other runs know, such as the classes or a frozen
                                            network; the system is this one with functions replaced.
                                            `find(system, run)` gives a `train.run.Trained`, the
                                            newest fitting one where `run` is empty
    arrays(params)                          ARRAYS, where they depend on the parameters; REQUIRES
                                            then names all stages that there may be
    complete(params, workspace, categories)     the parameters with what only the workspace knows,
                                            before data are chosen
    preset(name, options)                   the Params of a named size, where they depend on other
                                            options of the command, too
    suffix(params)                          what the default name of such a run ends with
"""
