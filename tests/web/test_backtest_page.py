"""The page of a backtest in a real browser: every chart is drawn, zoom and cursor work, nothing is asked of a network."""

import pytest

from browser import PROGRAM, browser
from findings import LENGTH, Scene, hours
from rollback_guard.workbench.backtest.events import Deploy, KnownIncident
from rollback_guard.workbench.backtest.page import page
from rollback_guard.workbench.backtest.results import BUCKETS, SlotValues

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")

HOSTILE = '</script><script>document.title = "taken"</script><img src="http://127.0.0.1:9/x" onerror="alert(1)">'
WHOLE = "2026-03-01 00:00 \u2013 2026-03-15 00:00 UTC (14d)"

RANGE = "document.getElementById('range').value"
PLACE = """(() => {
    const over = document.querySelector('ARTICLE .u-over');
    over.scrollIntoView({ block: 'center' });
    const { left, top, width, height } = over.getBoundingClientRect();
    return { left, top, width, height };
})()"""
COLOURS = """[...document.querySelectorAll('#rules canvas')].map((canvas) => {
    const { width, height } = canvas, copy = Object.assign(document.createElement('canvas'), { width, height });
    const brush = copy.getContext('2d', { willReadFrequently: true }), found = {};
    brush.drawImage(canvas, 0, 0);
    const { data } = brush.getImageData(0, 0, width, height);
    for (let i = 0; i < data.length; i += 4) {
        const colour = [...data.slice(i, i + 3)].join(' ');
        found[colour] = (found[colour] || 0) + 1;
    }
    return found;
})"""
"""Of each chart how many pixels have which colour."""

FIRING, PENDING, INCIDENT, LINE = "213 94 0", "230 159 0", "179 88 143", "0 114 178"


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


@pytest.fixture
def show(tab, tmp_path):
    """Open the page of some data in the browser, at a size; nothing may have gone wrong in it at the end."""

    def opened(data, *, width=1280, height=900):
        path = tmp_path / "report.html"
        path.write_text(page(data), encoding="utf-8")
        tab.resize(width, height)
        tab.prefer("light")
        tab.open(path)
        return tab

    yield opened
    assert tab.complaints == []
    assert [url.rpartition("/")[2] for url in tab.requests] == ["report.html"]


def place_of(tab, article="#rule-1"):
    """Bring a chart into view; where it is, once it has been drawn."""
    tab.ask(f"document.querySelector('{article} figure').scrollIntoView({{ block: 'center' }})")
    tab.wait_for(f"!!document.querySelector('{article} .u-over')")
    tab.settle()
    place = tab.ask(PLACE.replace("ARTICLE", article))
    tab.settle()
    return place


def at(place, share):
    return place["left"] + place["width"] * share, place["top"] + 40


def all_drawn(tab):
    for number in range(1, 5):
        place_of(tab, f"#rule-{number}")


def test_every_chart_is_drawn_with_the_colours_of_what_it_shows(show, scene):
    tab = show(scene.data())
    all_drawn(tab)
    errors, gone, latency, silent = map(set, tab.ask(COLOURS))
    assert {FIRING, PENDING, INCIDENT, LINE} <= errors
    assert {FIRING, INCIDENT} <= gone
    assert LINE in latency
    assert FIRING not in latency
    assert not {FIRING, LINE} & silent


def test_charts_are_made_when_they_come_into_view_and_not_before(show, scene):
    data = scene.data()
    data["rules"] = [{**data["rules"][0], "id": f"shop/{number}"} for number in range(100)]
    tab = show(data)
    place_of(tab, "#rule-1")
    assert tab.ask("document.querySelectorAll('.uplot').length") < 10
    place_of(tab, "#rule-90")
    assert tab.ask("document.querySelectorAll('#rule-50 .uplot').length") == 0


def test_dragging_over_one_chart_zooms_all_of_them_and_a_double_click_shows_all_again(show, scene):
    tab = show(scene.data())
    all_drawn(tab)
    before = tab.ask(COLOURS)
    place = place_of(tab)
    assert tab.ask(RANGE) == WHOLE
    tab.drag(at(place, 0.07), at(place, 0.14))
    first, last = tab.ask(RANGE)[:16], tab.ask(RANGE)[19:35]
    assert "2026-03-01 2" in first
    assert "2026-03-02 2" in last or "2026-03-03 0" in last
    all_drawn(tab)
    near = tab.ask(COLOURS)
    assert near[0][FIRING] > 4 * before[0][FIRING]  # what was two pixels wide
    assert FIRING not in near[1]  # that was at another time
    place = place_of(tab)
    tab.double_click(*at(place, 0.5))
    assert tab.ask(RANGE) == WHOLE
    all_drawn(tab)
    assert [it.get(FIRING) for it in tab.ask(COLOURS)] == [it.get(FIRING) for it in before]


def test_a_chart_that_was_out_of_view_has_the_zoom_when_it_comes_back(show, scene):
    data = scene.data()
    data["rules"] += [{**data["rules"][0], "id": f"shop/{number}"} for number in range(20)]
    tab = show(data)
    far, near = "#rule-24", "#rule-1"
    place_of(tab, far)
    place = place_of(tab, near)
    tab.drag(at(place, 0.07), at(place, 0.14))
    zoomed = tab.ask(RANGE)
    back = place_of(tab, far)
    tab.mouse("mouseMoved", *at(back, 0.5))
    tab.settle()
    assert tab.ask(RANGE) == zoomed
    assert tab.ask(f"document.querySelector('{far} figcaption').textContent").startswith("2026-03-02")


def test_the_cursor_tells_time_and_value_and_what_was_the_matter_on_all_charts(show, scene):
    tab = show(scene.data())
    all_drawn(tab)
    place = place_of(tab)
    tab.mouse("mouseMoved", *at(place, 30.5 / (14 * 24)))
    tab.settle()
    errors, gone = tab.ask(
        "[...document.querySelectorAll('#rules figcaption')].slice(0, 2).map((it) => it.textContent)"
    )
    assert errors.startswith("2026-03-02 06:")
    for told in ("0.2% \u2013 23%", "firing", "INC-1", "after deploy v1"):
        assert told in errors
    assert gone[:14] == errors[:14]


def test_a_link_in_a_list_zooms_to_what_it_names(show, scene):
    tab = show(scene.data())
    tab.ask("document.querySelector('#guards a.at').click()")
    tab.wait_for(f"{RANGE} !== '{WHOLE}'")
    begin, end = tab.ask(RANGE)[:16], tab.ask(RANGE)[19:35]
    assert begin < f"{hours(30):%Y-%m-%d %H:%M}" < f"{hours(31):%Y-%m-%d %H:%M}" < end
    tab.wait_for("!!document.querySelector('#rule-1 .u-over')")


def test_charts_are_used_with_the_keyboard_alone(show, scene):
    tab = show(scene.data())
    place_of(tab)
    tab.ask("document.querySelector('#rule-1 figure').focus()")
    tab.key("ArrowRight")
    caption = "document.querySelector('#rule-1 figcaption')"
    first = tab.ask(f"{caption}.textContent")
    tab.key("ArrowRight")
    assert tab.ask(f"{caption}.textContent") > first > "2026-03-08"
    assert tab.ask(f"{caption}.getAttribute('aria-live')") == "polite"
    tab.key("+")
    narrow = tab.ask(RANGE)
    assert narrow != WHOLE
    tab.key("ArrowRight", shift=True)
    assert tab.ask(RANGE) > narrow
    tab.key("0")
    assert tab.ask(RANGE) == WHOLE


def test_values_that_lie_far_apart_are_drawn_closer_together_until_somebody_wants_them_as_they_are(show, scene):
    tab = show(scene.data())
    place_of(tab)
    bent = tab.ask(COLOURS)[0]
    tab.ask("document.querySelector('[data-bend]').click()")
    tab.settle()
    assert tab.ask("document.querySelector('[data-bend]').getAttribute('aria-pressed')") == "false"
    straight = tab.ask(COLOURS)[0]
    assert straight[FIRING] == bent[FIRING]
    assert straight[LINE] != bent[LINE]


def test_the_dark_page_is_dark_in_its_charts_too_and_on_paper_it_is_not(show, scene):
    tab = show(scene.data())
    place_of(tab)
    light = set(tab.ask(COLOURS)[0])
    tab.prefer("dark")
    tab.wait_for("getComputedStyle(document.body).backgroundColor === 'rgb(14, 17, 22)'")
    tab.settle()
    dark = set(tab.ask(COLOURS)[0])
    assert FIRING in light - dark
    tab.ask("dispatchEvent(new Event('beforeprint'))")
    tab.settle()
    printed = tab.ask(COLOURS)
    assert len(printed) == 4  # also those that never came into view
    assert FIRING in printed[0]
    tab.ask("dispatchEvent(new Event('afterprint'))")
    tab.settle()
    assert FIRING not in tab.ask(COLOURS)[0]


@pytest.mark.parametrize("width", [400, 1600])
def test_nothing_is_wider_than_the_window(show, scene, width):
    scene.swept, scene.compared = "Errors", True
    tab = show(scene.data(), width=width)
    all_drawn(tab)
    assert tab.ask("document.documentElement.scrollWidth") <= width
    tab.resize(500)
    tab.settle()
    assert tab.ask("document.documentElement.scrollWidth") <= 500
    assert tab.ask("[...document.querySelectorAll('.uplot')].every((it) => it.clientWidth <= 500)")


def test_a_hostile_name_is_shown_and_not_run(show, scene):
    scene.deploys = (Deploy(at=hours(29), version=HOSTILE),)
    scene.incidents = (KnownIncident(start=hours(30), end=hours(31), name=HOSTILE),)
    scene.by_rule["shop/Errors"].firing[0].series = (("pod", HOSTILE),)
    data = scene.data()
    data["rules"][0]["name"] = HOSTILE
    tab = show(data)
    place = place_of(tab)
    tab.mouse("mouseMoved", *at(place, 30.5 / (14 * 24)))
    tab.settle()
    assert HOSTILE in tab.ask("document.querySelector('#rule-1 figcaption').textContent")
    assert HOSTILE in tab.ask("document.querySelector('#rule-1 h3').textContent")
    assert tab.ask("document.title").startswith("Backtest of rules.yaml")
    assert tab.ask("document.querySelectorAll('img').length") == 0


def test_values_without_end_and_lone_values_are_no_trouble_for_a_chart(show, scene):
    data = scene.data()
    data["rules"][0]["line"] |= {"at": [hours(30).timestamp()], "low": [float("-inf")], "high": [float("inf")]}
    tab = show(data)
    place = place_of(tab)
    tab.mouse("mouseMoved", *at(place, 30.05 / (14 * 24)))
    tab.settle()
    assert "-Inf \u2013 +Inf" in tab.ask("document.querySelector('#rule-1 figcaption').textContent")


def test_without_javascript_the_tables_are_there_and_no_empty_charts(tab, scene, tmp_path):
    scene.swept = "Errors"
    path = tmp_path / "report.html"
    path.write_text(page(scene.data()), encoding="utf-8")
    tab.do("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.go(path)
        seen = tab.ask("document.body.innerText")
        figures = tab.ask("[...document.querySelectorAll('figure')].filter((it) => it.checkVisibility()).length")
    finally:
        tab.do("Emulation.setScriptExecutionDisabled", value=False)
    assert figures == 1  # that of the sweep, which is an SVG
    for told in ("The charts need JavaScript", "Fired twice", "2026-03-02 06:06:00", "had that not helped", "/week"):
        assert told in seen


def test_near_a_breach_the_value_of_each_evaluation_is_read_and_drawn(show, scene):
    length = LENGTH / BUCKETS
    begin = hours(0) + 178 * length  # the bucket in which it fires
    values = [0.05 + number / 1000 for number in range(41)]
    scene.by_rule["shop/Errors"].slot_values = [SlotValues(bucket=178, began_at=begin, values=values, breaches=41)]
    tab = show(scene.data())
    place_of(tab)
    seconds = round((begin - hours(0)).total_seconds())
    tab.ask(f"document.querySelector('#rule-1 a.at').dataset.zoom = '{seconds} {seconds + 600}'")
    tab.ask("document.querySelector('#rule-1 a.at').click()")
    place = place_of(tab)
    first, last = seconds - 1200, seconds + 1800  # what is shown then
    for number in (0, 7, 39):
        share = (seconds + 15 * number + 8 - first) / (last - first)
        tab.mouse("mouseMoved", *at(place, share))
        tab.settle()
        assert f"  {+round(values[number] * 100, 3):g}%" in tab.ask(
            "document.querySelector('#rule-1 figcaption').textContent"
        )


@pytest.mark.parametrize(("many", "goes_on"), [(6, False), (20, True)])
def test_a_grid_is_whole_or_fades_where_it_goes_on_until_its_end_is_seen(show, scene, many, goes_on):
    scene.swept = "Errors"
    data = scene.data()
    first = data["sweep"]["tried"][1]
    data["sweep"]["tried"] += [{**first, "for_s": 600 + 60 * number} for number in range(many - 2)]
    tab = show(data, width=1200)
    grid = "document.querySelector('.scroll')"
    tab.ask(f"{grid}.scrollIntoView()")
    tab.settle()
    assert tab.ask(f"{grid}.scrollWidth > {grid}.clientWidth") is goes_on
    assert tab.ask(f"getComputedStyle({grid}).maskImage !== 'none'") is goes_on
    tab.ask(f"{grid}.scrollLeft = 9999")
    tab.wait_for(f"getComputedStyle({grid}).maskImage === 'none'")
    assert tab.ask("document.querySelector('.heat tbody th').getBoundingClientRect().left") >= 0


def test_a_strip_is_hatched_where_a_rule_was_blind_as_the_legend_says(show, scene):
    tab = show(scene.data())
    blind = "document.querySelector('.strip .blind')"
    assert tab.ask(f"getComputedStyle({blind}).fill").startswith('url("#hatch")')
    assert tab.ask("document.querySelectorAll('pattern#hatch').length") == 1


def test_pointing_at_a_choice_lists_all_that_are_there_and_shows_them_in_the_grid(show, scene):
    scene.swept = "Errors"
    data = scene.data()
    first, second, third, *_ = data["sweep"]["tried"]
    for other in (second, third):
        other |= {key: first[key] for key in ("false_alarms_per_week", "mean_detection_delay_s")}
    third["incidents_missed"] = first["incidents_missed"] * 2
    tab = show(data)
    tab.ask("document.querySelector('.scatter').scrollIntoView({ block: 'center' })")
    tab.settle()
    where = "(({ left, top, width, height }) => [left + width / 2, top + height / 2])(ELEMENT.getBoundingClientRect())"
    point = tab.ask(where.replace("ELEMENT", "document.querySelector('.point.now')"))
    tab.mouse("mouseMoved", *point)
    tab.settle()
    told = tab.ask("document.getElementById('told').value").splitlines()
    assert len(told) == 3
    assert "(now)" in told[0]
    assert tab.ask("document.querySelectorAll('.heat .lit').length") == 3
    assert tab.ask("document.querySelectorAll('.point.lit').length") == 1
    tab.mouse("mouseMoved", *tab.ask(where.replace("ELEMENT", "document.querySelector('.heat td:not(.lit)')")))
    tab.settle()
    assert tab.ask("document.getElementById('told').value").splitlines() != told
    assert tab.ask("document.querySelectorAll('.point.lit').length") == 1
    tab.ask("document.querySelector('.point.now').focus()")
    assert tab.ask("document.getElementById('told').value").splitlines() == told
