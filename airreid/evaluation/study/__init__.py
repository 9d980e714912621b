"""Study of the paper's claims: curves of many trainings, their intervals, figures and claims."""
