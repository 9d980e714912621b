"""The paper's figures on one network: trainings side by side, measured and gathered."""
