"""Single images from many threads, through a network that the test holds still: an event, never a sleep."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tiny_model import COLOURS, SPEC, picture

from cnnClassifier.errors import ModelError
from cnnClassifier.preprocessing import preprocess
from cnnClassifier.web.admission import Admission, OverloadedError
from cnnClassifier.web.batcher import Batcher, TooLateError
from waiting import wait_until


class Network:
    """Doubles what it is given. The first pass waits for `go`; `sizes` and `crowded` are what it was asked so far."""

    def __init__(self) -> None:
        self.go, self.busy = threading.Event(), threading.Event()
        self.sizes: list[int] = []
        self.crowded: list[bool] = []

    def double(self, batch, crowded):
        self.sizes.append(len(batch))
        self.crowded.append(crowded)
        self.busy.set()
        assert self.go.wait(30)
        return [2 * float(image[0]) for image in batch]

    def fail(self, *_):
        raise ModelError("the network is ill")


class Seen:
    """What a batcher tells its watch."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.passes: list[int] = []

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)

    def ran(self, images: int, _: float) -> None:
        self.passes.append(images)


def image(value: float) -> np.ndarray:
    return np.array([value], dtype=np.float32)


def test_what_arrives_while_the_network_is_busy_goes_together():
    network, seen = Network(), Seen()
    batcher = Batcher(max_batch=3, queue_size=10, deadline=60, watch=seen, cores=1)
    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(batcher.run, network.double, image(0))
        assert network.busy.wait(30)
        others = [pool.submit(batcher.run, network.double, image(value)) for value in range(1, 6)]
        wait_until(lambda: len(batcher) == 5)
        network.go.set()
        assert first.result() == 0
        assert [answer.result() for answer in others] == [2, 4, 6, 8, 10]
    assert network.sizes == seen.passes == [1, 3, 2]
    assert len(seen.waits) == 6


def test_where_as_many_wait_as_there_are_cores_each_core_makes_a_pass():
    network = Network()
    batcher = Batcher(max_batch=1, queue_size=10, deadline=60, cores=2)
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(batcher.run, network.double, image(1))]
        assert network.busy.wait(30)
        answers += [pool.submit(batcher.run, network.double, image(value)) for value in (2, 3, 4)]
        wait_until(lambda: len(batcher) == 3)
        assert network.crowded == [False]  # who has all cores is left alone with them
        network.go.set()
        assert [answer.result() for answer in answers] == [2, 4, 6, 8]
    assert network.crowded[:3] == [False, True, True]  # the last may find nobody beside it
    assert batcher.run(network.double, image(5)) == 10
    assert network.crowded[-1] is False


def test_passes_of_a_crowd_are_under_way_at_the_same_time():
    together = threading.Barrier(3)

    def meet(batch, crowded):
        if crowded:
            together.wait(30)
        return list(batch)

    network = Network()
    batcher = Batcher(max_batch=8, queue_size=10, deadline=60, cores=3)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(batcher.run, network.double, image(1))
        assert network.busy.wait(30)
        others = [pool.submit(batcher.run, meet, image(value)) for value in (2, 3, 4)]
        wait_until(lambda: len(batcher) == 3)
        network.go.set()
        assert [first.result(), *(answer.result() for answer in others)] == [2, 2, 3, 4]


def test_images_for_another_model_have_a_pass_of_their_own_and_who_waited_longest_goes_first():
    network, other = Network(), Network()
    other.go.set()
    batcher = Batcher(max_batch=8, queue_size=10, deadline=60, cores=1)
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(batcher.run, network.double, image(1))]
        assert network.busy.wait(30)
        for position, model in enumerate([other, network, other]):
            answers.append(pool.submit(batcher.run, model.double, image(position + 2)))
            wait_until(lambda position=position: len(batcher) == position + 1)
        network.go.set()
        assert [answer.result() for answer in answers] == [2, 4, 6, 8]
    assert (network.sizes, other.sizes) == ([1, 1], [2])


def test_a_full_queue_refuses_at_once_and_answers_those_it_took():
    network = Network()
    batcher = Batcher(max_batch=1, queue_size=1, deadline=60, cores=1)
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(batcher.run, network.double, image(1))]
        assert network.busy.wait(30)
        answers.append(pool.submit(batcher.run, network.double, image(2)))
        wait_until(lambda: len(batcher) == 1)
        with pytest.raises(OverloadedError, match="1 images are waiting"):
            batcher.run(network.double, image(3))
        network.go.set()
        assert [answer.result() for answer in answers] == [2, 4]


def test_who_waited_too_long_is_told_so_and_not_computed():
    network = Network()
    batcher = Batcher(max_batch=4, queue_size=4, deadline=60, cores=1)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(batcher.run, network.double, image(1))
        assert network.busy.wait(30)
        late = pool.submit(batcher.run, network.double, image(2))
        wait_until(lambda: len(batcher) == 1)
        batcher.deadline = 0  # no pass of a network is that fast
        network.go.set()
        assert first.result() == 2
        with pytest.raises(TooLateError):
            late.result()
    assert network.sizes == [1]


def test_an_error_reaches_those_whose_batch_it_was_and_nobody_else():
    network = Network()
    network.go.set()
    batcher = Batcher(max_batch=4, queue_size=4, deadline=60, cores=1)
    with pytest.raises(ModelError, match="ill"):
        batcher.run(network.fail, image(1))
    assert batcher.run(network.double, image(1)) == 2


def test_a_network_that_gives_too_few_answers_is_an_error_not_a_request_without_end():
    with pytest.raises(ValueError, match="zip"):
        Batcher(max_batch=4, queue_size=4, deadline=60, cores=1).run(lambda *_: [], image(1))


def test_closing_answers_what_was_accepted_and_takes_nothing_more():
    network = Network()
    batcher = Batcher(max_batch=1, queue_size=4, deadline=60, cores=1)
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(batcher.run, network.double, image(1))]
        assert network.busy.wait(30)
        answers.append(pool.submit(batcher.run, network.double, image(2)))
        wait_until(lambda: len(batcher) == 1)
        closing = pool.submit(batcher.close)
        network.go.set()
        closing.result()
        assert [answer.result() for answer in answers] == [2, 4]
    with pytest.raises(OverloadedError, match="stopping"):
        batcher.run(network.double, image(3))


def test_a_batch_of_a_real_model_gives_each_picture_its_own_answer(classifier):
    batcher = Batcher(max_batch=8, queue_size=64, deadline=60, cores=2)
    labels = list(COLOURS) * 16
    images = {label: preprocess(picture(label), SPEC.preprocessing) for label in COLOURS}
    with ThreadPoolExecutor(32) as pool:
        answers = pool.map(lambda label: batcher.predict(classifier, images[label]).label, labels)
    assert list(answers) == labels


def test_no_more_than_its_capacity_is_let_in_and_the_rest_is_told_when_to_come_back():
    admission = Admission(capacity=2)
    with admission.admitted(), admission.admitted():
        assert admission.inside == 2
        with pytest.raises(OverloadedError, match="2 requests") as refusal, admission.admitted():
            raise AssertionError("nobody gets here")
    assert refusal.value.retry_after == 1
    assert admission.inside == 0
    with admission.admitted():
        assert admission.inside == 1


def test_a_place_is_given_back_when_a_request_fails():
    admission = Admission(capacity=1)
    for _ in range(3):
        with pytest.raises(ModelError), admission.admitted():
            raise ModelError("bad")
    assert admission.inside == 0


@pytest.mark.parametrize("turn", [Admission.decoding, Admission.unpacking])
def test_only_so_many_decode_or_unpack_at_once(turn):
    admission, go, inside = Admission(capacity=9, decoders=2), threading.Event(), []

    def decode() -> int:
        with turn(admission):
            inside.append(1)
            assert go.wait(30)
            count = len(inside)
            inside.pop()
            return count

    with ThreadPoolExecutor(6) as pool:
        counts = [pool.submit(decode) for _ in range(6)]
        wait_until(lambda: len(inside) == 2)
        go.set()
        assert max(count.result() for count in counts) <= 2
