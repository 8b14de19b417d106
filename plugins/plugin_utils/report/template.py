# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The template of the report page (Jinja). Everything is escaped; what came from a host goes through ``show``."""

TEMPLATE = """\
{% macro verdict_badge(row) %}
<span class="badge {{ row | tone }}">{{ row | verdict_words }}</span>
{% endmacro %}

{% macro values(mapping) %}
<dl class="values">
{% for key, value in mapping | pairs %}
<dt>{{ key | show }}</dt><dd class="mono">{{ value | show }}</dd>
{% endfor %}
</dl>
{% endmacro %}

{% macro finding(row) %}
<div class="item {{ row | tone }}">
<div class="head">{{ verdict_badge(row) }}
{% if row.severity and row.state == "open" %}<span class="badge">{{ row.severity | show }}</span>{% endif %}
{% if row.plan %}<span class="badge plan">seen in check mode</span>{% endif %}
<code>{{ row.rule | show }}</code>
<span class="soft small right">{{ row.last_seen | when }}</span></div>
<p class="what">{{ row.message | show }}</p>
<div class="about">{{ row | subject_words | show }}{% if row.attack %} · ATT&amp;CK
{{ row.attack | join(", ") | show }}{% endif %}</div>
{% if row.state_text %}<p class="small">{{ row.state_text }}</p>{% endif %}
{% if row | details %}
<details class="more"><summary>What this rests on</summary>{{ values(row | details) }}</details>
{% endif %}
</div>
{% endmacro %}

{% macro action(row) %}
<div class="item {{ row | action_tone }}">
<div class="head"><span class="badge {{ row | action_tone }}">{{ "undone" if row.undone else row.status }}</span>
<code>{{ row.rule | show }}</code><span class="soft small right">{{ row.time | when }}</span></div>
<p class="what">{{ row.message | show }}</p>
<div class="about">{{ row | subject_words | show }}</div>
{% for line in row.undo_commands %}
<pre class="command">{{ line | show }}</pre>
{% else %}
{% if row.status == "done" and not row.undone %}<p class="small soft">This cannot be undone by a command.</p>{%
endif %}
{% endfor %}
</div>
{% endmacro %}

{% macro host_body(host) %}
{% if not host.chain.intact %}
<div class="alert bad"><p>The journal of this host is damaged or was changed. Do not rely on what follows.</p>
<ul>{% for problem in host.chain.problems[:20] %}<li>{{ problem | show }}</li>{% endfor %}
{% if host.chain.problems | length > 20 %}<li>{{ host.chain.problems | length - 20 }} more, see report.json</li>{%
endif %}</ul></div>
{% endif %}
{% for failure in host.failures %}
<div class="alert bad"><p>{{ "Could not be reached" if failure.unreachable else "A step failed" }}:
{{ failure.task | show }}</p><p>{{ failure.message | show }}</p>
<p class="small soft">{{ failure.time | when }}{% if failure.phase %} · phase {{ failure.phase | show }}{% endif %}
 · {{ failure.module | show }}</p></div>
{% endfor %}

<h3>Open findings</h3>
{% for phase, rows in host | findings_by_phase(["open"]) %}
<h4>{{ phase | show }}</h4>
{% for row in rows %}{{ finding(row) }}{% endfor %}
{% else %}
<p class="nothing">{{ "No detector ran through, so nothing is known." if host.status == "not_checked" else
"Nothing is open where it was looked." }}</p>
{% endfor %}
{% set settled = host | findings_by_phase(["resolved", "gone"]) %}
{% if settled %}
<details class="more"><summary>{{ host.counts.resolved }} resolved, {{ host.counts.gone }} no longer found</summary>
{% for phase, rows in settled %}
<h4>{{ phase | show }}</h4>
{% for row in rows %}{{ finding(row) }}{% endfor %}
{% endfor %}
</details>
{% endif %}
{% set benign = host | benign %}
{% if benign %}
<details class="more"><summary>{{ benign | length }} looked at and explained (benign)</summary>
<div class="scroll"><table><thead><tr><th>rule</th><th>about</th><th>explanation</th></tr></thead><tbody>
{% for row in benign %}<tr><td><code>{{ row.rule | show }}</code></td>
<td class="mono">{{ row | subject_words | show }}</td>
<td>{{ row.message | show }}</td></tr>
{% endfor %}</tbody></table></div></details>
{% endif %}

{% for status, heading in action_groups %}
{% set rows = host | actions_with(status) %}
{% if rows %}
<h3>{{ heading }}</h3>
{% if status == "done" and host.undo_all_command %}
<p class="small">Take back all files of this host at once:</p>
<pre class="command">{{ host.undo_all_command | show }}</pre>
{% endif %}
{% for row in rows %}{{ action(row) }}{% endfor %}
{% endif %}
{% endfor %}

<h3>Not checked</h3>
{% for row in host.not_checked %}
<div class="item warn"><p class="what"><b>{{ row.what | show }}</b>: {{ row.reason | show }}</p>
{% if row.hint %}<p class="small">{{ row.hint | show }}</p>{% endif %}
<div class="about">{% if row.phase %}{{ row.phase | show }} · {% endif %}{{ row.module | show }} ·
{{ row.time | when }}</div></div>
{% else %}
<p class="nothing">No detector named anything that it could not look at.
Phases without an entry below did not run.</p>
{% endfor %}

{% if host.evidence %}
<h3>Evidence</h3>
<div class="scroll"><table><thead><tr><th>file</th><th class="n">bytes</th><th>SHA-256</th><th>sealed as</th></tr>
</thead><tbody>
{% for row in host.evidence %}
<tr><td class="mono">{{ row.name | show }}</td><td class="n">{{ row.size | show }}</td>
<td class="mono">{{ row.sha256 | show }}</td>
<td class="mono">{% if row.sealed %}{{ row.sealed | show }}{% else %}<span class="badge bad">not sealed</span>
{{ row.error | default("", true) | show }}{% endif %}</td></tr>
{% endfor %}</tbody></table></div>
{% endif %}

<h3>Timeline</h3>
<p class="small soft">Phases with a completed step:
{{ host.phases | join(", ") | show if host.phases else "none" }}.</p>
<details class="more"><summary>{{ host.timeline | length }} entries</summary>
<div class="scroll"><table><thead><tr><th class="n">no.</th><th>time</th><th>phase</th><th>task</th><th>result</th>
<th class="n">seconds</th><th class="n">findings</th><th class="n">actions</th></tr></thead><tbody>
{% for row in host.timeline %}
<tr><td class="n">{{ row.seq }}</td><td class="time">{{ row.time | when }}</td>
<td>{{ row.phase | default("", true) | show }}</td>
<td>{{ row.task | show }}<div class="soft small mono">{{ row.module | show }}</div></td>
<td><span class="badge {{ row.result | result_tone }}">{{ row.result }}</span>
{% if row.check_mode %}<span class="badge plan">check mode</span>{% endif %}
{% if row.msg %}<div class="small">{{ row.msg | show }}</div>{% endif %}</td>
<td class="n">{{ row.duration | show }}</td><td class="n">{{ row.findings }}</td>
<td class="n">{{ row.actions }}</td></tr>
{% endfor %}</tbody></table></div></details>
<p class="small soft">Journal: {{ host.chain.entries }} entries, newest hash
<code>{{ host.chain.newest_hash | default("none", true) | show }}</code></p>
{% endmacro %}

<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{{ style_hash }}'; \
base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>{{ report.title | plain }} – {{ report.incident.id | plain }}</title>
<style>{{ style }}</style>
</head>
<body>
<main>
<header>
<h1>{{ report.title | show }}</h1>
<ul class="facts"><li>Incident <b class="mono">{{ report.incident.id | show }}</b></li>
{% if report.incident.opened %}<li>opened <b>{{ report.incident.opened | when }}</b></li>{% endif %}
<li>newest entry <b>{{ report.last_entry | when }}</b></li>
<li><b>{{ report.hosts | length }}</b> {{ "host" if report.hosts | length == 1 else "hosts" }}</li></ul>
</header>

{% if not report.hosts %}
<div class="alert bad"><p>This incident has no journal: nothing was recorded, so nothing is known.</p></div>
{% elif report.chain.intact %}
<div class="alert good"><p>The journals are intact:
{{ report.chain.entries }} entries, every hash chain verified.</p></div>
{% else %}
<div class="alert bad"><p>The journals of {{ report.chain.broken_hosts | length }} of
{{ report.hosts | length }} hosts are damaged or
were changed. Do not rely on what this report says of them:</p>
<ul>{% for host in report.hosts if not host.chain.intact %}<li><a href="#{{ host.anchor }}">{{ host.host | show
}}</a>:
{{ host.chain.problems[0] | show }}{% if host.chain.problems | length > 1 %} ({{ host.chain.problems | length - 1 }}
more){% endif %}</li>
{% endfor %}</ul></div>
{% endif %}
{% if report.counts.planned %}
<div class="alert plan"><p>{{ report.counts.planned }}
{{ "action is" if report.counts.planned == 1 else "actions are" }} only planned
(check mode): nothing of that was done.</p></div>
{% endif %}

<ul class="tiles">
{% for status, words, tone in statuses %}
{% set number = report.statuses[status] %}
<li class="card {{ tone if number else "zero" }}"><span class="number">{{ number }}</span>\
{{ "host" if number == 1 else "hosts" }} {{ words }}</li>
{% endfor %}
</ul>

{% set failing = report.hosts | selectattr("failures") | list %}
{% if failing %}
<h2>Could not be reached, or failed</h2>
<div class="card scroll"><table><thead><tr><th>host</th><th>step</th><th>what happened</th></tr></thead><tbody>
{% for host in failing %}{% for failure in host.failures %}
<tr><td><a href="#{{ host.anchor }}">{{ host.host | show }}</a></td><td>{{ failure.task | show }}</td>
<td>{% if failure.unreachable %}<span class="badge bad">unreachable</span> {% endif %}
{{ failure.message | show }}</td></tr>
{% endfor %}{% endfor %}</tbody></table></div>
{% endif %}

{% if report.hosts %}
<h2>Hosts</h2>
<div class="card scroll"><table class="index"><thead><tr><th>host</th><th>status</th><th class="n">malicious</th>
<th class="n">suspicious</th><th class="n">weak</th><th class="n">undeter&shy;mined</th><th class="n">resolved</th>
<th class="n">done</th><th class="n">refused</th><th class="n">not checked</th></tr></thead><tbody>
{% for host in report.hosts %}
<tr><td><a href="#{{ host.anchor }}">{{ host.host | show }}</a></td>
<td><span class="badge {{ host.status | status_tone }}">{{ host.status_text }}</span>
{% if host.reasons %}<div class="small soft">{{ host.reasons | join(", ") | show }}</div>{% endif %}</td>
{% for key, tone in index_columns %}
{% set number = host.counts[key] %}
{% set unknown = not number and key in unknown_columns and (host.status == "not_checked" or not host.chain.intact) %}
<td class="n {{ "" if unknown else tone if number else "zero" }}">{{ "?" if unknown else number }}</td>
{% endfor %}</tr>
{% endfor %}</tbody></table></div>

<h2>Host by host</h2>
{% for host in report.hosts %}
<details class="host card"{% if host.open %} open{% endif %}>
<summary><span class="name">{{ host.host | show }}</span>
<span class="badge {{ host.status | status_tone }}">{{ host.status_text }}</span>
{% if not host.chain.intact %}<span class="badge bad">journal changed</span>{% endif %}
<span class="soft small">{{ host.reasons | join(", ") | show }}</span></summary>
<div class="body" id="{{ host.anchor }}">{{ host_body(host) }}</div>
</details>
{% endfor %}
{% endif %}

<footer>
<p>How to read this</p>
<dl>
<dt>malicious, suspicious, weak</dt><dd>Open findings.
Undetermined ones are open too: they are never taken for fine.</dd>
<dt>resolved</dt><dd>Something was done about it; where nobody has looked again since, the finding says so.</dd>
<dt>no longer found</dt><dd>A later look found it no more, though nothing was done about it here.</dd>
<dt>not checked</dt><dd>Could not be looked at, with the reason.
A host without a completed detector is &ldquo;Not checked&rdquo;.</dd>
<dt>commands</dt><dd>Run them in the folder from which the playbook was run, with the same
<code>-i</code> inventory.</dd>
<dt><span class="escape">\\e</span> <span class="escape">\\u202e</span></dt>
<dd>Characters that do not show, or that turn text round, spelled out. They came from the host.</dd>
<dt>cut values</dt><dd>Long values are cut here; <code>report.json</code> has all of them whole.</dd>
</dl>
<p>Each line of a journal carries the hash of the line before.
Who can rewrite a whole journal can forge its chain: note the newest
hashes above in another place.</p>
</footer>
</main>
</body>
</html>
"""
