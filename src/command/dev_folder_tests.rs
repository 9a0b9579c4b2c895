//! What a folder of `dev` is, and what is refused as one.

use super::*;

const THREE: Wish<'static> = Wish {
    data: None,
    nodes: None,
    port: None,
    temporary: Temporary::Removed,
};

/// A directory on a disk: the build's own folder, because `/tmp` may be memory.
fn parent() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR").to_owned() + "/target").expect("it is writable")
}

fn refused(wish: Wish<'_>) -> Failure {
    match DevFolder::open(wish) {
        Ok(folder) => panic!("{folder:?}"),
        Err(failure) => failure,
    }
}

fn ports(folder: &DevFolder) -> Vec<u16> {
    let places = folder.places();
    places.iter().map(|place| place.address.port()).collect()
}

#[test]
fn a_new_folder_has_the_nodes_and_ports_that_were_asked_for() {
    let parent = parent();
    let path = parent.path().join("deep/dev");
    let folder = DevFolder::open(Wish {
        data: Some(&path),
        nodes: Some(2),
        port: Some(9000),
        ..THREE
    });
    let folder = folder.expect("it is made");
    assert_eq!(ports(&folder), [9000, 9001]);
    assert!(!folder.is_removed());
    let place = &folder.places()[1];
    assert_eq!(
        (place.name.as_str(), &place.log),
        ("n2", &folder.path().join("n2.log"))
    );
}

#[test]
fn a_folder_is_found_again_as_it_was_and_refuses_to_be_another() {
    let parent = parent();
    let data = Some(parent.path());
    let first = Wish {
        data,
        nodes: Some(2),
        port: Some(9000),
        ..THREE
    };
    let made = DevFolder::open(first).expect("it is made");
    made.write_plan().expect("it is writable");
    drop(made);
    let again = DevFolder::open(Wish { data, ..THREE }).expect("it is found");
    assert_eq!(ports(&again), [9000, 9001]);
    let held = refused(Wish { data, ..THREE });
    assert_eq!(held.code(), Code::DirectoryLocked);
    drop(again);
    for (wish, words) in [
        (
            Wish {
                nodes: Some(3),
                ..first
            },
            "2 nodes",
        ),
        (
            Wish {
                port: Some(7400),
                ..first
            },
            "9000 9001",
        ),
    ] {
        let failure = refused(wish);
        assert_eq!(failure.code(), Code::ValueRefused);
        assert!(failure.to_string().contains(words), "{failure}");
    }
}

#[test]
fn a_folder_of_somebody_else_is_left_alone() {
    let parent = parent();
    fs::write(parent.path().join("thesis.pdf"), "").expect("it is writable");
    let failure = refused(Wish {
        data: Some(parent.path()),
        ..THREE
    });
    assert_eq!(failure.code(), Code::DirectoryNotEmpty);
    assert!(failure.to_string().contains("thesis.pdf"), "{failure}");
    let left = fs::read_dir(parent.path()).expect("it is there").count();
    assert_eq!(left, 1, "nothing was added");
}

#[test]
fn a_plan_that_makes_no_sense_is_refused_by_name() {
    for (text, code) in [
        ("{", Code::FileMalformed),
        (r#"{"schema":1,"ports":[]}"#, Code::FileMalformed),
        (r#"{"schema":9,"ports":[7400]}"#, Code::NewerFormat),
    ] {
        let parent = parent();
        fs::write(parent.path().join(PLAN_FILE), text).expect("it is writable");
        let failure = refused(Wish {
            data: Some(parent.path()),
            ..THREE
        });
        assert_eq!(failure.code(), code, "{text}");
        assert!(failure.to_string().contains(PLAN_FILE), "{failure}");
    }
}

#[test]
fn a_temporary_folder_goes_unless_it_is_kept() {
    let gone = DevFolder::open(THREE).expect("it is made");
    assert!(gone.is_removed());
    let path = gone.path().to_owned();
    drop(gone);
    assert!(!path.exists());

    let kept = DevFolder::open(Wish {
        temporary: Temporary::Kept,
        ..THREE
    });
    let kept = kept.expect("it is made");
    assert!(!kept.is_removed());
    kept.write_plan().expect("it is writable");
    let path = kept.path().to_owned();
    drop(kept);
    assert!(path.join(PLAN_FILE).exists());
    fs::remove_dir_all(path).expect("it is ours");
}

#[test]
fn a_port_that_somebody_has_is_named_with_its_node() {
    let held = TcpListener::bind("127.0.0.1:0").expect("any free port");
    let port = held.local_addr().expect("it listens").port();
    let parent = parent();
    let wish = |port| Wish {
        data: Some(parent.path()),
        nodes: Some(1),
        port: Some(port),
        ..THREE
    };
    let folder = DevFolder::open(wish(port)).expect("it is made");
    let failure = folder.demand_ports().expect_err("it is held");
    assert_eq!(failure.code(), Code::ListenRefused);
    let text = failure.to_string();
    assert!(
        text.contains(&port.to_string()) && text.contains("n1"),
        "{text}"
    );
    drop(folder);
    let other = DevFolder::open(wish(9000)).expect("the folder is still nobody's");
    assert_eq!(ports(&other), [9000]);
}
