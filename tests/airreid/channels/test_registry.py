"""Channel models by name, and what a dashboard is told of them."""

from __future__ import annotations

import pytest

from airreid.channels.parameters import Parameter, parameters_of
from airreid.channels.registry import (
    ChannelModel,
    channel_model,
    channel_models,
    is_channel_model,
    register_channel_model,
)
from airreid.channels.settings import LinkSettings, changed, link_settings, split_parameters
from airreid.errors import InputError


def test_the_projects_own_models_and_their_fields() -> None:
    assert {model.name: model.fields for model in channel_models()} == {
        "awgn": (),
        "rayleigh": ("csi", "doppler"),
        "rician": ("csi", "doppler", "k_factor_db"),
        "impulsive": ("impulse_probability", "impulse_ratio_db"),
        "erasure": ("erasure_probability", "erasure_unit"),
    }
    assert all(name in LinkSettings.model_fields for m in channel_models() for name in m.fields)


def test_a_name_is_one_models_alone() -> None:
    with pytest.raises(ValueError, match="channel model 'awgn' is registered already"):
        register_channel_model(ChannelModel("awgn", "another"))
    assert channel_model("awgn").label == "AWGN: white noise"
    assert is_channel_model("awgn")
    assert not is_channel_model("rain")
    with pytest.raises(InputError, match="channel model 'rain': use one of awgn, rayleigh"):
        channel_model("rain")


def test_parameters_have_labels_and_bounds() -> None:
    assert list(parameters_of(channel_model("awgn"))) == []
    assert list(parameters_of(channel_model("rician"))) == [
        Parameter("csi", "Receiver knows the gain"),
        Parameter("doppler", "Doppler × block time", 0, 10),
        Parameter("k_factor_db", "K factor, dB", -40, 40),
    ]
    assert list(parameters_of(channel_model("erasure"))) == [
        Parameter("erasure_probability", "Probability of an erasure", 0, 1),
        Parameter("erasure_unit", "Erased at once", choices=("complex", "real")),
    ]


def test_parameters_on_the_command_line() -> None:
    assert split_parameters(["m=2", " depth = 0.5 "]) == {"m": 2.0, "depth": 0.5}
    for text in ("m", "m=", "m=x"):
        with pytest.raises(InputError, match=f"parameter '{text}': write NAME=VALUE"):
            split_parameters([text])


def test_the_projects_own_models_have_no_parameters() -> None:
    with pytest.raises(InputError, match=r"link parameters\.m: Extra inputs"):
        link_settings(model="rayleigh", parameters={"m": 2})
    with pytest.raises(InputError, match=r"link parameters\.m: "):
        changed(link_settings(), {"parameters": {"m": 2.0}})
