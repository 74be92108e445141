"""Every adapter keeps one contract, on small trees in the layout that its collection publishes."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pandas as pd
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from hilum.core.case import COLUMNS, LABEL_COLUMNS
from hilum.core.errors import CohortError
from hilum.data.cohort import Cohort
from hilum.data.cohorts import COHORTS, option_from_text, options_of, read_cohort
from hilum.data.table import check_cases, merge_cases, read_cases, write_cases

TABLES = {".csv", ".tsv", ".txt", ".json"}
NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
)


def film(path, size=(16, 12)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, 90).save(path)
    return path


def text(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def dicom(path, patient):
    header = pydicom.Dataset()
    header.PatientID, header.PatientSex = patient, "F"
    with pydicom.config.disable_value_validation():
        header.PatientAge = "51"  # as the challenge writes it
    header.ViewPosition, header.Rows, header.Columns = "AP", 512, 512
    header.SOPClassUID, header.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    with pydicom.config.disable_value_validation():
        header.save_as(path, enforce_file_format=True)


def covid_chestxray(root):
    text(
        root / "metadata.csv",
        "patientid,offset,sex,age,finding,view,modality,date,folder,filename,url,license",
        "2,0,M,65,COVID-19,PA,X-ray,2020,images,a.jpg,https://www.eurorad.org/case/1,CC BY",
        "3,,F,,Klebsiella,L,X-ray,2015,images,b.png,,",
        "3,,F,,todo,,X-ray,,images,gone.png,,",
    )
    film(root / "images" / "a.jpg")
    film(root / "images" / "b.png")


def hannover(root):
    text(
        root / "data.csv",
        "patient_id,image_id,sex,age,admission_offset,modality,projection",
        "p1,i1,m,,-3,CR,ap",
        "p1,i2,m,,0,DX,pa",
    )
    film(root / "png" / "i1.png")
    film(root / "png" / "i2.png")


def covid_cxnet(root):
    text(
        root / "metadata.csv",
        "filename,patient_id,sex,age,view,label,pcr_test,admission_offset,symptom_offset,url",
        "1.png,10,female,68,AP,COVID-19,positive,,7,https://twitter.com/x",
        "2.jpg,11,male,0.5,,COVID-19,negative,1,,",
    )
    for name in ("1.PNG", "2.jpeg", "3-.jpg"):
        film(root / "chest_xray_images" / "covid19" / name)


def nih(root):
    text(
        root / "Data_Entry_2017_v2020.csv",
        NIH_HEADER,
        "00000001_000.png,Pneumonia|Effusion,0,1,411,M,AP",
        "00000002_000.png,No Finding,0,2,012Y,F,PA",
    )
    film(root / "images_001" / "images" / "00000001_000.png", (256, 512))
    film(root / "images_002" / "images" / "00000002_000.png")


def rsna(root):
    text(
        root / "stage_2_detailed_class_info.csv",
        "patientId,class",
        "r1,Lung Opacity",
        "r1,Lung Opacity",
        "r2,Normal",
    )
    text(
        root / "stage_2_train_labels.csv",
        "patientId,x,y,width,height,Target",
        "r1,100.0,200.0,50.0,60.0,1",
        "r1,400.0,200.0,50.0,60.0,1",
        "r2,,,,,0",
    )
    text(root / "rsna_nih_mapping.csv", "patientId,Image Index,mse", "r1,00000007_003.png,0.4")
    for patient in ("r1", "r2"):
        dicom(root / "stage_2_train_images" / f"{patient}.dcm", patient)


def shenzhen(root):
    film(root / "CXR_png" / "CHNCXR_0004_0.png")
    film(root / "CXR_png" / "CHNCXR_0327_1.png")
    text(root / "ClinicalReadings" / "CHNCXR_0004_0.txt", "male 45yrs", "normal")
    film(root / "masks" / "CHNCXR_0004_0_mask.png")


def montgomery(root):
    film(root / "CXR_png" / "MCUCXR_0001_0.png")
    film(root / "CXR_png" / "MCUCXR_0104_1.png")
    text(
        root / "ClinicalReadings" / "MCUCXR_0104_1.txt",
        "Patient's Sex: F",
        "Patient's Age: 027Y",
        "cavity in the right upper lobe",
    )
    film(root / "ManualMask" / "leftMask" / "MCUCXR_0001_0.png")


def openist(root):
    film(root / "Chest_x-ray" / "1-10-500-500-100.jpg")
    film(root / "Chest_x-ray" / "1-10-500-500-100@.png")
    film(root / "Chest_x-ray" / "2-11-500-500-100.jpg")


def kermany(root):
    film(root / "train" / "PNEUMONIA" / "person1_bacteria_1.jpeg")
    film(root / "test" / "PNEUMONIA" / "person1_virus_6.jpeg")
    film(root / "train" / "NORMAL" / "IM-0467-0001-0001.jpeg")
    film(root / "train" / "NORMAL" / "NORMAL2-IM-0467-0001.jpeg")


def covidx(root):
    text(
        root / "train_COVIDx7B.txt",
        "A1 x.png negative actmed",
        "COVID 1 COVID(1).png positive sirm",
    )
    text(root / "test_COVIDx7B.txt", "A1 y.png positive actmed")
    film(root / "train" / "x.png")


def bimcv(root):
    text(
        root / "participants.tsv",
        "participant\tmodality_dicom\tbody_parts\tage\tgender",
        "sub-S1\t['CR']\t[['chest']]\t['64']\tM",
        "sub-S2\t['DX']\t[['chest']]\t['71']\tF",
    )
    for person, session in (("sub-S1", "ses-E1"), ("sub-S2", "ses-E2")):
        text(
            root / person / f"{person}_sessions.tsv",
            "session_id\tstudy_date\tmedical_evaluation",
            f"{session}\t20200320\ttext",
        )
        name = f"{person}_{session}_run-1_bp-chest_vp-ap_cr.png"
        film(root / person / session / "mod-rx" / name)
    text(
        root / "derivatives" / "labels" / "labels_covid_posi.tsv",
        "PatientID\tReportID\tReport\tLabels",
        "sub-S1\tses-E1\ttext\t['COVID 19', 'pneumonia ']",
        "sub-S2\tses-E2\ttext\t['normal']",
    )
    text(
        root / "derivatives" / "EHR" / "sil_reg_covid_posi.tsv",
        "participant\tdate\ttest\tresult",
        "sub-S1\t25.03.2020\tPCR\tPOSITIVO",
        "sub-S2\t18.03.2020\tPCR\tNEGATIVO",
        "sub-S2\t19.03.2020\tIGG\tPOSITIVO",
    )


def siim(root):
    text(
        root / "train_image_level.csv",
        "id,boxes,label,StudyInstanceUID",
        "i1_image,\"[{'x': 100.5, 'y': 200.0, 'width': 50.0, 'height': 60.0}]\","
        "opacity 1 100.5 200 150.5 260,s1",
        "i2_image,,none 1 0 0 1 1,s1",
        "i3_image,,none 1 0 0 1 1,s2",
    )
    text(
        root / "train_study_level.csv",
        "id,Negative for Pneumonia,Typical Appearance,Indeterminate Appearance,Atypical Appearance",
        "s1_study,0,1,0,0",
        "s2_study,1,0,0,0",
    )
    for study, image in (("s1", "i1"), ("s1", "i2"), ("s2", "i3")):
        dicom(root / "train" / study / "series" / f"{image}.dcm", f"p-{study}")


def tbx11k(root):
    base = root / "TBX11K"
    for place in ("tb/tb0001", "tb/tb0002", "tb/tb1199", "health/h1", "sick/s1", "test/t1"):
        film(base / "imgs" / f"{place}.png")
    kinds = ("ActiveTuberculosis", "ObsoletePulmonaryTuberculosis", "PulmonaryTuberculosis")
    coco = {
        "images": [
            {"id": n, "file_name": f"tb/tb000{n}.png", "width": 512, "height": 512} for n in (1, 2)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(kinds, start=1)],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [256, 128, 64, 32]},
            {"id": 2, "image_id": 2, "category_id": 1, "bbox": [0, 0, 64, 32]},
            {"id": 3, "image_id": 2, "category_id": 2, "bbox": [64, 64, 64, 32]},
        ],
    }
    text(base / "annotations" / "json" / "TBX11K_train.json", json.dumps(coco))


def jsrt(root):
    for stem in ("JPCLN001", "JPCNN001"):
        film(root / "images" / f"{stem}.png")
        film(root / "masks" / f"{stem}_lung.png")
    text(root / "CLNDAT_EN.txt", "JPCLN001.IMG\t5\t15\t53\tMale\t1634\t692\tmalignant\tl.upper\tca")
    text(root / "CNNDAT_EN.TXT", "JPCNN001.IMG\t14\tFemale\tnon-nodule")
    (root / "JPCLN002.IMG").write_bytes(bytes(8))


def own_csv(root):
    text(root / "mine.csv", "path,patient_id,covid-19", "a.png,1,yes", "b.png,2,")
    film(root / "a.png")
    film(root / "b.png")


def own_folders(root):
    film(root / "COVID" / "a.png")
    film(root / "normal" / "b.png")


TREES = {
    "covid-chestxray-dataset": covid_chestxray,
    "covid-19-image-repository": hannover,
    "covid-cxnet": covid_cxnet,
    "nih-chestxray14": nih,
    "rsna-pneumonia": rsna,
    "shenzhen": shenzhen,
    "montgomery": montgomery,
    "openist": openist,
    "kermany": kermany,
    "covidx": covidx,
    "bimcv-covid19": bimcv,
    "siim-covid19": siim,
    "tbx11k": tbx11k,
    "jsrt": jsrt,
    "csv": own_csv,
    "folders": own_folders,
}


def made(name, tmp_path):
    root = tmp_path / "collection"
    root.mkdir()
    TREES[name](root)
    return root


def read(name, tmp_path, /, **options):
    return read_cohort(name, made(name, tmp_path), **options)


def row(cohort, ending):
    rows = cohort.cases[cohort.cases["case_id"].str.endswith(ending)]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.parametrize("name", COHORTS)
def test_contract(name, tmp_path):
    cohort = read(name, tmp_path)
    cases = cohort.cases
    assert isinstance(cohort, Cohort)
    assert cohort.name == name
    assert cohort.films == len(cases) >= 2
    assert list(cases.columns)[: len(COLUMNS)] == list(COLUMNS)
    labels = [column for column in cases.columns if column in LABEL_COLUMNS]
    assert labels
    assert not cases[labels].isna().all().any(), "a label that no film has is no column"
    check_cases(cases, name)
    assert set(cases["cohort"]) == {name}
    assert cases["patient_id"].str.contains("/").all(), "patients are unique across cohorts"
    assert all(Path(path).is_absolute() for path in cases["path"])
    there = [Path(path).is_file() for path in cases["path"]]
    assert all(there) or name == "covidx"
    masks = [path for path in cases["lung_mask"] if path]
    assert all(Path(path).is_file() for path in masks)


@pytest.mark.parametrize("name", COHORTS)
def test_contract_of_names(name, tmp_path):
    parameters = inspect.signature(COHORTS[name]).parameters
    assert next(iter(parameters)) == "root"
    assert parameters["name"].default == name
    cohort = read(name, tmp_path, name="mine")
    assert cohort.name == "mine"
    assert cohort.cases["case_id"].str.startswith("mine/").all()
    assert set(cohort.cases["cohort"]) == {"mine"}


@pytest.mark.parametrize("name", COHORTS)
def test_contract_of_the_table(name, tmp_path):
    cases = read(name, tmp_path).cases
    write_cases(cases, tmp_path / "cases.csv")
    pd.testing.assert_frame_equal(read_cases(tmp_path / "cases.csv"), cases)


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    return {name: made(name, tmp_path_factory.mktemp(name)) for name in COHORTS}


@pytest.mark.parametrize("name", COHORTS)
@settings(max_examples=40)
@given(data=st.data())
def test_contract_of_damaged_tables(name, trees, data):
    """Bytes that were lost or changed in a table: a cohort that is valid, or an error of ours."""
    tables = sorted(path for path in trees[name].rglob("*") if path.suffix.lower() in TABLES)
    path = data.draw(st.sampled_from(tables or [trees[name] / "none.csv"]))
    sound = path.read_bytes() if path.is_file() else b"path"
    start = data.draw(st.integers(0, len(sound)))
    end = start + data.draw(st.integers(0, 5))
    path.write_bytes(sound[:start] + data.draw(st.binary(max_size=4)) + sound[end:])
    try:
        check_cases(read_cohort(name, trees[name]).cases, name)
    except CohortError as error:
        assert error.message  # noqa: PT017
    finally:
        path.write_bytes(sound)


@pytest.mark.parametrize("name", COHORTS)
def test_contract_of_an_empty_folder(name, tmp_path):
    with pytest.raises(CohortError) as caught:
        read_cohort(name, tmp_path)
    assert str(tmp_path) in caught.value.message
    with pytest.raises(CohortError, match="no such folder"):
        read_cohort(name, tmp_path / "none")


def test_every_cohort_merges_with_every_other(tmp_path):
    tables = []
    for name in COHORTS:
        (tmp_path / name).mkdir()
        tables.append(read(name, tmp_path / name).cases)
    merged = merge_cases(tables, list(COHORTS))
    check_cases(merged, "all")
    assert merged["cohort"].nunique() == len(COHORTS)


def test_an_unknown_adapter_or_option_gets_a_hint(tmp_path):
    with pytest.raises(CohortError) as caught:
        read_cohort("kermani", tmp_path)
    assert caught.value.hint == "did you mean 'kermany'?"
    with pytest.raises(CohortError, match="has no option 'versoin'") as caught:
        read_cohort("covidx", tmp_path, versoin="7B")
    assert caught.value.hint == "did you mean 'version'?"
    assert option_from_text("covidx", "version", "9") == "9"
    with pytest.raises(CohortError, match="whole number"):
        option_from_text("bimcv-covid19", "days", "two")
    assert options_of("covidx") == ["name", "version"]


def test_covid_chestxray_reports_what_is_not_there(tmp_path):
    report = read("covid-chestxray-dataset", tmp_path).report
    assert report.rows == 3
    assert report.missing == ("metadata.csv row 4: images/gone.png",)


def test_covid_cxnet_resolves_names_and_keeps_films_without_a_row(tmp_path):
    cohort = read("covid-cxnet", tmp_path)
    assert cohort.report.resolved == ("1.png -> 1.PNG", "2.jpg -> 2.jpeg")
    assert cohort.report.without_row == ("3-.jpg",)
    assert cohort.patients == 3
    assert cohort.cases["covid-19"].tolist()[0] == 1
    assert pd.isna(row(cohort, "2.jpeg")["covid-19"]), "pcr_test negative"
    assert row(cohort, "3-.jpg")["no-finding"] == 1
    assert row(cohort, "1.PNG")["offset_days"] == 7
    assert row(cohort, "2.jpeg")["offset_days"] == 1


def test_nih_reads_labels_ages_and_nested_folders(tmp_path):
    cohort = read("nih-chestxray14", tmp_path)
    sick = row(cohort, "00000001_000.png")
    assert (sick["pneumonia"], sick["effusion"], sick["no-finding"], sick["hernia"]) == (1, 1, 0, 0)
    assert sick["covid-19"] == 0
    assert pd.isna(sick["age_years"]), "nobody is 411 years old"
    assert row(cohort, "00000002_000.png")["age_years"] == 12


def test_nih_boxes_are_in_pixels_of_the_file(tmp_path):
    root = made("nih-chestxray14", tmp_path)
    text(
        root / "BBox_List_2017.csv",
        "Image Index,Finding Label,Bbox [x,y,w,h],,,",
        "00000001_000.png,Infiltrate,512.0,256.0,100.0,200.0,,,",
    )
    cohort = read_cohort("nih-chestxray14", root)
    assert row(cohort, "00000001_000.png")["boxes"] == (
        '[{"label": "infiltration", "x": 128.0, "y": 128.0, "width": 25.0, "height": 100.0}]'
    )


@pytest.mark.parametrize(
    ("row_text", "said"),
    [
        ("00000001_000.png,Infiltrate,wide,256.0,100.0,200.0,,,", "column Bbox [x: 'wide'"),
        ("00000001_000.png,Dragon,512.0,256.0,100.0,200.0,,,", "'Dragon' is not known"),
    ],
)
def test_a_box_that_is_none_is_named(tmp_path, row_text, said):
    root = made("nih-chestxray14", tmp_path)
    text(root / "BBox_List_2017.csv", "Image Index,Finding Label,Bbox [x,y,w,h],,,", row_text)
    with pytest.raises(CohortError) as caught:
        read_cohort("nih-chestxray14", root)
    assert "BBox_List_2017.csv row 2" in caught.value.message
    assert said in caught.value.message


def test_nih_takes_the_radiologists_of_rsna_and_google(tmp_path):
    root = made("nih-chestxray14", tmp_path)
    other = tmp_path / "rsna-pneumonia"
    text(other / "stage_2_detailed_class_info.csv", "patientId,class", "r1,Lung Opacity")
    text(
        other / "stage_2_train_labels.csv",
        "patientId,x,y,width,height,Target",
        "r1,512,512,1024,1024,1",
    )
    text(other / "rsna_nih_mapping.csv", "patientId,Image Index", "r1,00000001_000.png")
    text(
        root / "google2019_nih-chest-xray-labels.csv",
        "Image Index,Fracture,Pneumothorax,Airspace opacity,Nodule or mass",
        "00000002_000.png,NO,YES,NO,NO",
    )
    cohort = read_cohort("nih-chestxray14", root)
    first, second = row(cohort, "00000001_000.png"), row(cohort, "00000002_000.png")
    assert (first["lung-opacity"], first["pneumothorax"]) == (1, 0)
    assert '"x": 128.0, "y": 256.0, "width": 256.0, "height": 512.0' in first["boxes"]
    assert first["note"] == "RSNA radiologists: Lung Opacity"
    assert (second["lung-opacity"], second["pneumothorax"]) == (0, 1)


def test_rsna_scales_boxes_and_finds_the_nih_patient(tmp_path):
    cohort = read("rsna-pneumonia", tmp_path)
    ill, well = row(cohort, "r1"), row(cohort, "r2")
    assert ill["patient_id"] == "nih-chestxray14/7"
    assert well["patient_id"] == "rsna-pneumonia/r2"
    assert ill["boxes"].count("lung-opacity") == 2
    assert '"x": 50.0, "y": 100.0, "width": 25.0, "height": 30.0' in ill["boxes"]
    assert well["boxes"] == ""
    assert (ill["pneumonia"], ill["no-finding"], well["pneumonia"], well["no-finding"]) == (
        1,
        0,
        0,
        1,
    )
    assert (ill["view"], ill["sex"], ill["age_years"]) == ("AP", "F", 51)


def test_rsna_names_a_class_that_is_not_known(tmp_path):
    root = made("rsna-pneumonia", tmp_path)
    text(root / "stage_2_detailed_class_info.csv", "patientId,class", "r1,Opacity")
    with pytest.raises(CohortError, match="column class: 'Opacity'; expected Lung Opacity"):
        read_cohort("rsna-pneumonia", root)


def test_tuberculosis_collections_read_the_clinical_readings(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "m").mkdir()
    normal = row(read("shenzhen", tmp_path / "s"), "CHNCXR_0004_0")
    assert (normal["sex"], normal["age_years"], normal["tuberculosis"]) == ("M", 45, 0)
    assert normal["lung_mask"].endswith("CHNCXR_0004_0_mask.png")
    cohort = read("montgomery", tmp_path / "m")
    ill = row(cohort, "MCUCXR_0104_1")
    assert (ill["sex"], ill["age_years"], ill["tuberculosis"]) == ("F", 27, 1)
    assert ill["finding"] == "cavity in the right upper lobe"
    assert cohort.films == 2, "masks are no films"


def test_kermany_tells_the_children_apart(tmp_path):
    cohort = read("kermany", tmp_path)
    assert cohort.patients == 4
    virus = row(cohort, "person1_virus_6.jpeg")
    assert (virus["viral-pneumonia"], virus["bacterial-pneumonia"]) == (1, 0)
    assert cohort.cases["age_years"].isna().all()
    assert (cohort.cases["note"] == "child of 1 to 5 years").all()


def test_covidx_keeps_the_split_and_names_absent_images(tmp_path):
    cohort = read("covidx", tmp_path)
    assert cohort.cases["split"].value_counts().to_dict() == {"train": 2, "test": 1}
    assert row(cohort, "COVID(1).png")["patient_id"] == "covidx/sirm/COVID 1"
    assert len(cohort.report.missing) == 2
    with pytest.raises(CohortError, match="no lists of COVIDx 9Z"):
        read_cohort("covidx", tmp_path / "collection", version="9Z")


def test_covidx_names_a_line_that_it_cannot_read(tmp_path):
    root = made("covidx", tmp_path)
    text(root / "test_COVIDx7B.txt", "A1 y.png maybe actmed")
    with pytest.raises(CohortError, match=r"test_COVIDx7B\.txt line 1: 'A1 y\.png maybe actmed'"):
        read_cohort("covidx", root)


def test_bimcv_goes_by_the_pcr_near_the_film(tmp_path):
    cohort = read("bimcv-covid19", tmp_path)
    first, second = cohort.cases.iloc[0], cohort.cases.iloc[1]
    assert (first["covid-19"], first["reference_standard"]) == (1, "RT-PCR")
    assert (second["covid-19"], second["reference_standard"]) == (0, "RT-PCR"), "IGG is no PCR"
    assert (first["pneumonia"], second["pneumonia"], second["no-finding"]) == (1, 0, 1)
    assert (first["age_years"], first["sex"], first["view"]) == (64, "M", "AP")
    assert first["study_date"] == "2020-03-20"


def test_bimcv_without_a_pcr_near_takes_the_report_and_never_says_no(tmp_path):
    cohort = read("bimcv-covid19", tmp_path, days=1)
    assert cohort.cases["reference_standard"].tolist() == ["report", "report"]
    assert cohort.cases["covid-19"][0] == 1
    assert pd.isna(cohort.cases["covid-19"][1])


def test_bimcv_leaves_ct_and_bad_reports_out(tmp_path):
    root = made("bimcv-covid19", tmp_path)
    film(root / "sub-S1" / "ses-E1" / "mod-ct" / "sub-S1_ses-E1_run-2_bp-chest_ct.png")
    text(
        root / "derivatives" / "labels" / "labels_covid_posi.tsv",
        "PatientID\tReportID\tReport\tLabels",
        "sub-S1\tses-E1\ttext\t['exclude']",
    )
    cohort = read_cohort("bimcv-covid19", root, days=0)
    assert len(cohort.report.skipped) == 1
    assert cohort.films == 2


def test_siim_takes_person_and_size_from_dicom_and_pneumonia_from_the_study(tmp_path):
    cohort = read("siim-covid19", tmp_path)
    assert cohort.patients == 2
    first = row(cohort, "/i1")
    assert first["patient_id"] == "siim-covid19/p-s1"
    assert (first["pneumonia"], row(cohort, "/i3")["pneumonia"]) == (1, 0)
    assert '"x": 100.5' in first["boxes"]


def test_tbx11k_has_the_kinds_of_its_boxes(tmp_path):
    cohort = read("tbx11k", tmp_path)
    assert {case.case_id.split("/")[1]: case.finding for case in cohort.cases.itertuples()} == {
        "tb0001": "Active tuberculosis",
        "tb0002": "Active and latent tuberculosis",
        "tb1199": "Tuberculosis",
        "h1": "Healthy",
        "s1": "Sick, no tuberculosis",
    }
    assert cohort.label_counts()["tuberculosis"] == (2, 2, 1), "nothing was drawn on tb1199"
    assert cohort.label_counts()["no-finding"] == (1, 4, 0)
    (box,) = json.loads(row(cohort, "/tb0001")["boxes"])
    assert (box["label"], box["x"]) == ("tuberculosis", 8), (
        "drawn at 256 of 512 pixels; the film has 16"
    )
    assert cohort.report.skipped == ("test/t1.png: no label; expected health, sick or tb",)


def test_jsrt_has_age_sex_and_masks(tmp_path):
    cohort = read("jsrt", tmp_path)
    ill, well = row(cohort, "/JPCLN001"), row(cohort, "/JPCNN001")
    assert (ill["nodule"], ill["age_years"], ill["sex"]) == (1, 53, "M")
    assert (well["nodule"], well["age_years"], well["sex"]) == (0, 14, "F")
    assert ill["lung_mask"].endswith("masks/JPCLN001_lung.png")
    assert cohort.report.skipped == ("1 files .IMG: raw pixels; convert them to 16-bit PNG",)


def test_pictures_of_siim_learn_their_patient_from_the_table(tmp_path):
    root = made("siim-covid19", tmp_path)
    for path in sorted(root.rglob("*.dcm")):
        film(root / "train" / f"{path.stem}.png")
        path.unlink()
    text(root / "meta.csv", "image_id,dim0,dim1", "i1,2000,2000")
    text(root / "train_meta.csv", "patientid,studyid,imageid", "p,s1,i1", "p,s2,i3")
    cohort = read_cohort("siim-covid19", root)
    patients = cohort.cases.set_index("case_id")["patient_id"].str.removeprefix("siim-covid19/")
    assert patients.to_dict() == {
        "siim-covid19/i1": "p",
        "siim-covid19/i2": "s1",
        "siim-covid19/i3": "p",
    }
    typical, negative = row(cohort, "/i1"), row(cohort, "/i3")
    assert (typical["appearance"], typical["covid-19"], typical["pneumonia"]) == ("typical", 1, 1)
    assert (negative["appearance"], negative["covid-19"], negative["pneumonia"]) == (
        "negative",
        0,
        0,
    )
    assert "the patient may be infected" in negative["note"]


def test_pictures_of_rsna_go_by_their_names(tmp_path):
    root = made("rsna-pneumonia", tmp_path)
    before = read_cohort("rsna-pneumonia", root)
    for path in sorted(root.rglob("*.dcm")):
        film(path.with_suffix(".png"))
        path.unlink()
    after = read_cohort("rsna-pneumonia", root)
    for column in ("case_id", "patient_id", "finding", "lung-opacity"):
        assert after.cases[column].tolist() == before.cases[column].tolist()
    assert set(after.cases["view"]) == {""}
