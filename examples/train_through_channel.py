"""A torch training loop whose symbols cross a running channel simulator.

Learns a linear code of 16 uses for synthetic vectors, over Rayleigh fading whose gain the
receiver does not know. The channel is y = h x + n, so its gradient is the conjugate of h.
"""

import torch
from torch import nn

import airreid
from simulation.processes import Role

DIMENSIONS, USES, BATCH = 8, 16, 256


class Radio(torch.autograd.Function):
    """Forward over the wire, backward by the gains that the channel reports."""

    @staticmethod
    def forward(ctx, symbols, remote, first_block):
        received, ctx.report = remote.transmit(symbols.detach().numpy(), first_block)
        return torch.from_numpy(received)

    @staticmethod
    def backward(ctx, gradient):
        return torch.from_numpy(ctx.report.pull_back(gradient.numpy())), None, None


torch.manual_seed(0)
torch.set_num_threads(1)  # of small products threads only wait for one another
encoder, decoder = nn.Linear(DIMENSIONS, USES, bias=False), nn.Linear(USES, DIMENSIONS)
optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=0.02)
serve = ["channel", "serve", "--listen", "127.0.0.1:0", "--model", "rician", "--no-csi"]
with (
    Role("channel", [*serve, "--k-factor", "10", "--snr", "0"]) as channel,
    airreid.RemoteChannel(f"127.0.0.1:{channel.ready['grpc_port']}") as remote,
):
    for step in range(300):
        latent = torch.randn(BATCH, DIMENSIONS)
        symbols = nn.functional.normalize(encoder(latent)) * USES**0.5  # mean power 1 a block
        received = Radio.apply(symbols, remote, step * BATCH)  # noise of blocks never seen
        loss = nn.functional.mse_loss(decoder(received), latent)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 50 == 0 or step == 299:
            print(f"step {step:3d}  loss {loss.item():.3f}")
