"""An encoder and decoder of one's own: trained in torch, exported to a bundle, then used.

A linear code of 64 uses that a few synthetic people teach to survive noise of -3 dB.
"""

import tempfile

import torch
from torch import nn

import airreid
from training.export.onnx import export_onnx

USES, SNR_DB = 64, -3.0


class Encoder(nn.Linear):
    """Features (N, 2048) -> symbols (N, 64) of mean power 1 a row."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(super().forward(features)) * USES**0.5


torch.manual_seed(0)
torch.set_num_threads(1)  # of small products threads only wait for one another
people, queries = airreid.synthetic_people(20)
features = torch.from_numpy(airreid.Model().features(people.images[20:]))  # of ten people
encoder, decoder = Encoder(features.shape[1], USES), nn.Linear(USES, features.shape[1])
optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
for _ in range(200):
    symbols = encoder(features)
    received = symbols + 10 ** (-SNR_DB / 20) * torch.randn_like(symbols)
    loss = 1 - nn.functional.cosine_similarity(decoder(received), features).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
with tempfile.TemporaryDirectory() as folder:
    graphs = f"{folder}/encoder.onnx", f"{folder}/decoder.onnx"
    export_onnx(encoder, features[:2], graphs[0])
    export_onnx(decoder, symbols[:2].detach(), graphs[1])
    bundle = airreid.add_jscc_scheme(None, f"{folder}/bundle", f"jscc-ae-own-{USES}", *graphs)
    for scheme_id in (f"jscc-ae-own-{USES}", f"jscc-ae-{USES}"):
        gallery = airreid.Gallery(airreid.Model(bundle, scheme_id))
        gallery.add(*[part[:20] for part in people])  # the other ten
        asked = [part[:30] for part in queries]
        result = airreid.evaluate(gallery, *asked, airreid.channel(snr_db=SNR_DB), seeds=3)
        print(f"{scheme_id}: rank-1 {result.top1.value:.3f} at {SNR_DB:g} dB")
