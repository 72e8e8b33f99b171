//! `cofferdam graph`: pipelines and runs as drawings.

use crate::harness::{Task, World, name, task_file};

fn pipeline(world: &World) -> String {
    world.write(
        ".cofferdam/inner.yaml",
        "apiVersion: cofferdam.dev/v1\nkind: Pipeline\nmetadata: { name: inner }\nspec: { tasks: [{ name: deep, taskRef: { name: echo } }] }\n",
    );
    let file = task_file(Task::Test("echo"));
    world.pipeline_spec(&format!(
        "  params: [{{ name: needed }}]
  tasks:
    - {{ name: first, displayName: '\"Erste\" <b>', taskRef: {{ component: {} }} }}
    - {{ name: second, taskRef: {{ name: echo }}, params: [{{ name: text, value: $(tasks.first.results.text) }}] }}
    - {{ name: third, taskRef: {{ name: echo }}, runAfter: [first], when: [{{ cel: params.needed == 'x' }}] }}
    - {{ name: each, taskRef: {{ name: echo }}, matrix: {{ params: [{{ name: text, value: [a, b] }}] }}, runAfter: [second] }}
    - {{ name: nested, pipelineRef: {{ file: inner.yaml }}, runAfter: [each] }}
  finally:
    - {{ name: last, taskRef: {{ name: echo }} }}
",
        file.display()
    ))
}

#[test]
fn a_pipeline_is_drawn_without_values_for_its_params() {
    let world = World::with(&[Task::Test("echo")]);
    let pipeline = pipeline(&world);
    let text = world.run(&["graph", &pipeline]).ok().out;
    for line in [
        "flowchart LR",
        "n0[\"#34;Erste#34; #60;b#62;<br/>echo 0.1.0<br/>not trusted\"]",
        "n0 --> n1",
        "n0 -.-> n2",
        "n2{{\"third<br/>echo 0.1.0<br/>under a condition\"}}",
        "n3[[\"each<br/>echo 0.1.0<br/>matrix: text\"]]",
        "subgraph n4[\"nested<br/>pipeline inner\"]",
        "subgraph nf[\"finally\"]",
        "class n0 untrusted",
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    world.run(&["graph", &pipeline, "--as", "svg", "--output", "out.svg"]).ok();
    let svg = std::fs::read_to_string(world.project().join("out.svg")).unwrap();
    assert!(
        svg.contains("&quot;Erste&quot; &lt;b&gt;")
            && svg.contains("<title id=\"title\">pipeline test</title>")
    );
    let dot = world.run(&["graph", &pipeline, "--as", "dot"]).ok().out;
    assert!(dot.contains("n3 -> n4_a [lhead=cluster_n4, style=dashed]"), "{dot}");
    assert!(world.runs().is_empty());
    assert_eq!(world.run(&["graph"]).status, 2);
}

#[test]
fn a_run_is_drawn_with_how_each_task_ended() {
    let world = World::with(&[Task::Test("echo")]);
    let pipeline = pipeline(&world);
    let (status, run) = world.run_json(&[&pipeline, "--param", "needed=y"]);
    assert_eq!(status, 0, "{run:#}");
    let text = world.run(&["graph", "--run", &name(&run)]).ok().out;
    for part in
        ["first<br/>Succeeded in ", "third<br/>Skipped", "each[a]<br/>Succeeded in ", "finally", "last<br/>"]
    {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert_eq!(world.run(&["graph", "--run"]).ok().out, text, "the newest");
    let json = world.run(&["graph", "--run", &name(&run), "--format", "json"]).ok().out;
    let graph: serde_json::Value = serde_json::from_str(&json).unwrap();
    let parts = graph["parts"].as_array().unwrap();
    let names: Vec<&str> = parts.iter().map(|part| part["task"].as_str().unwrap()).collect();
    assert_eq!(names, ["first", "second", "third", "each[a]", "each[b]", "nested", "last"], "{graph:#}");
    assert_eq!(graph["finallyFrom"], 6);
    assert_eq!(parts[5]["inside"]["parts"][0]["task"], "nested/deep");
    let edges = graph["edges"].as_array().unwrap();
    assert_eq!(edges.len(), 3, "{edges:?}");
}
