"""Networks: the re-ID backbone and the joint source-channel codecs."""
