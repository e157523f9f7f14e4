import pytest

from tasks.errors import BadInput
from tasks.shards import Shard, shards_of


def test_all_shards_of_a_night_are_named_and_read_back(settings):
    shards = shards_of(settings.model_copy(update={"recommend_shards": 3}))
    assert [str(shard) for shard in shards] == ["1-of-3", "2-of-3", "3-of-3"]
    assert [Shard.parse(str(shard)) for shard in shards] == shards


@pytest.mark.parametrize("text", ["", "1", "0-of-3", "4-of-3", "-1-of-3", "1-of-0", "1 of 3", "1-of-3 ", "../1-of-3"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(BadInput, match="a shard is written NUMBER-of-SHARDS"):
        Shard.parse(text)
