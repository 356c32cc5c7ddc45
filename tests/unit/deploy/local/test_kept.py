"""A state folder remembers its shape, its ports and its epoch."""

from pathlib import Path

import msgspec
import pytest

from deploy.local.kept import OtherShape, load, save


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    new = load(tmp_path, brokers=1, shards=8)
    save(tmp_path, msgspec.structs.replace(new, ports={"redis": 1}, epochs={"local": 17}))
    again = load(tmp_path, brokers=1, shards=8)
    assert again.ports == {"redis": 1}
    assert again.epochs == {"local": 17}
    assert again.cluster_id == new.cluster_id
    assert (tmp_path / "kept.json").stat().st_mode & 0o077 == 0, "it holds a password"


def test_data_without_users_is_not_made_secure_by_a_word(tmp_path: Path) -> None:
    save(tmp_path, load(tmp_path, brokers=1, shards=8))
    with pytest.raises(OtherShape, match=r"SECURE=0.*make clean"):
        load(tmp_path, brokers=1, shards=8, secure=True)


@pytest.mark.parametrize(("brokers", "shards", "name"), [(3, 8, "BROKERS=1"), (1, 4, "SHARDS=8")])
def test_data_of_another_shape_is_refused_with_a_way_out(
    tmp_path: Path, brokers: int, shards: int, name: str
) -> None:
    save(tmp_path, load(tmp_path, brokers=1, shards=8))
    with pytest.raises(OtherShape, match=f"{name}.*make clean"):
        load(tmp_path, brokers=brokers, shards=shards)


def test_a_write_that_was_cut_off_leaves_the_old_content(tmp_path: Path) -> None:
    save(tmp_path, load(tmp_path, brokers=1, shards=8))
    (tmp_path / "kept.json.new").write_text('{"brok')
    assert load(tmp_path, brokers=1, shards=8).shards == 8
