"""Queries over a fading channel, and whom they show: from images to a ranking in ten lines."""

import airreid

people, queries = airreid.synthetic_people(20)
model = airreid.Model(airreid.load_bundle(), "jscc-ae-256")
gallery = airreid.Gallery(model)
gallery.add(*people)
blocks = model.encode(queries.images)
radio = airreid.channel("rayleigh", snr_db=0, seed=1)
received, report = radio.transmit(blocks)
answers = gallery.search(model.decode(received, report), top_k=3)
for subject, snr_db, hits in zip(queries.subjects, report.snr_db, answers, strict=True):
    best = ", ".join(f"{hit.subject} {hit.score:.2f}" for hit in hits)
    print(f"{subject} at {snr_db:+5.1f} dB: {best}")
right = sum(hits[0].subject == who for who, hits in zip(queries.subjects, answers, strict=True))
print(f"rank-1 {right / len(answers):.3f} over {radio}")
